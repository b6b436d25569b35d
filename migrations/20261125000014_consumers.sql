-- How far each reader of the mirror has got, so that a mirror built anew is not read again from its beginning.
create table journal.consumers (
  name text primary key,
  sequence bigint not null
);

grant select, insert, update on journal.consumers to ludoteca_app;

-- A buyer's claims are found by the beginning of their keys, whatever language the database sorts by.
alter table journal.claims alter column key type text collate "C";
