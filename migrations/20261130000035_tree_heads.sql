-- The keys that tree heads are signed with. They are public, and none is ever taken back.
create table journal.head_keys (
  public_key text primary key check (public_key ~ '^ludoteca/journal\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$'),
  published_at timestamptz not null default clock_timestamp()
);
grant select, insert on journal.head_keys to ludoteca_app;

-- Finds the largest of them without looking at other events.
create index events_of_tree_heads on journal.events (((payload->>'size')::bigint)) where aggregate_type = 'treehead';
