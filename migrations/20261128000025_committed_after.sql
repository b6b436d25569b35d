-- The relay reads the journal hundreds of times a second, and each time the query was planned anew, twice: the function
-- for the epoch as well, which no plan was kept for. Both are planned once for each connection now.
create or replace function journal.epoch() returns int language plpgsql stable as $$
begin
  return (select pg_get_expr(d.adbin, d.adrelid)::int
          from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
          where d.adrelid = 'journal.events'::regclass and a.attname = 'epoch');
end $$;

-- What was committed after a position and below the oldest transaction that runs: above it, an event with a lower position
-- may still be uncommitted.
create function journal.committed_after(after_epoch int, after_tx_id xid8, after_position bigint, most bigint)
returns setof journal.events language plpgsql stable set plan_cache_mode = force_generic_plan as $$
begin
  return query
  select e.* from journal.events e
  where (e.epoch, e.tx_id, e.position) > (after_epoch, after_tx_id, after_position)
    and (e.epoch, e.tx_id) < (journal.epoch(), pg_snapshot_xmin(pg_current_snapshot()))
  order by e.epoch, e.tx_id, e.position limit most;
end $$;
