-- A master key has an id, and may have a successor: both open the store until every person's key is wrapped by the new one.
alter table vault.master_key drop constraint master_key_pkey, drop column one;
alter table vault.master_key
  add column id text,
  -- The key of keyed hashes, wrapped by this one. A store from before has none: there, the first master key is it.
  add column hash_key bytea,
  -- The key that this one succeeds, wrapped by this one.
  add column predecessor bytea,
  -- Whether new keys are wrapped by it.
  add column wraps boolean not null default true;
update vault.master_key set id = encode(substring(fingerprint from 1 for 4), 'hex');
alter table vault.master_key alter column id set not null, add primary key (id);
create unique index master_key_wraps on vault.master_key (wraps) where wraps;

-- Nothing stands for the first key, by which all were wrapped that there are.
alter table vault.subject_keys add column wrapped_by text references vault.master_key (id);
create index subject_keys_wrapped_by on vault.subject_keys (wrapped_by);
