-- Tells the master key of this store from any other: a keyed hash of a constant, never the key.

create table vault.master_key (
  one boolean primary key default true check (one),
  fingerprint bytea not null
);

grant select, insert on vault.master_key to ludoteca_app;
