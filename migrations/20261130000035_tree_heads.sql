-- The keys that tree heads are signed with. They are public, and none is ever taken back.
create table journal.head_keys (
  public_key text primary key,
  published_at timestamptz not null default clock_timestamp()
);
grant select, insert on journal.head_keys to ludoteca_app;

-- Finds the newest of them without looking at other events.
create index events_of_tree_heads on journal.events (epoch, tx_id, position) where aggregate_type = 'treehead';
