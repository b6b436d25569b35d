-- The journal: what happened, in commit order, and the claims that decide what may happen.

-- What the store's processes log in as belongs to this role; it owns nothing.
do $$ begin
  create role ludoteca_app nologin;
exception when duplicate_object or unique_violation then null;
end $$;

create schema journal;

-- The first seven columns are those of postgres-es.
create table journal.events (
  aggregate_type text not null,
  aggregate_id text not null,
  sequence bigint not null check (sequence > 0),
  event_type text not null,
  event_version text not null,
  payload jsonb not null,
  metadata jsonb not null,
  event_id uuid not null default gen_random_uuid(),
  epoch int not null default 1,
  tx_id xid8 not null default pg_current_xact_id(),
  position bigint not null generated always as identity,
  recorded_at timestamptz not null default clock_timestamp(),
  primary key (aggregate_type, aggregate_id, sequence)
);

create index events_global_order on journal.events (epoch, tx_id, position);

create table journal.claims (
  kind text not null,
  key text not null,
  holder uuid not null,
  constraint claims_pkey primary key (kind, key)
);

create index claims_holder on journal.claims (holder);

-- Today's epoch is the column's default, so that writers which know nothing of epochs get it too.
create function journal.epoch() returns int language sql stable as $$
  select pg_get_expr(d.adbin, d.adrelid)::int
  from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
  where d.adrelid = 'journal.events'::regclass and a.attname = 'epoch'
$$;

-- Without it the age of others' transactions, which hold the relay back, cannot be seen.
do $$ begin
  grant pg_read_all_stats to ludoteca_app;
exception when insufficient_privilege then
  raise warning 'ludoteca_journal_held_back_seconds will see the store''s own transactions only';
end $$;

grant usage on schema journal to ludoteca_app;
grant select, insert on journal.events to ludoteca_app;
grant select, insert, delete on journal.claims to ludoteca_app;
