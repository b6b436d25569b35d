-- What a command makes happen to several aggregates is appended at once, and stands in the journal in the order in which it
-- is given: the order that was placed before its payment, and a payment's success before what it completes. Everything
-- else is as it was. The function that appended for one command, for processes that were not restarted yet, goes.
drop function journal.append(
  text, text, bigint[], text[], text[], jsonb[], jsonb[], uuid[], text[], text[], text[], text[], text[], text[], bigint[],
  bytea, bytea, uuid
);

create or replace function journal.append(
  events jsonb, locks jsonb, conditions jsonb, taken jsonb, released jsonb, answers jsonb
)
returns table (event_id uuid, at_epoch int, at_xid text, at_position bigint, lost int, claim_kind text, claim_key text)
language plpgsql set plan_cache_mode = force_generic_plan set lock_timeout = '4s'
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
#variable_conflict use_column
declare
  losers int[] := '{}';
begin
  perform case when own then pg_advisory_xact_lock(lock) else pg_advisory_xact_lock_shared(lock) end
  from (
    select hashtextextended(l.kind || ' ' || l.id, 0) as lock, bool_or(l.own) as own
    from jsonb_to_recordset(locks) as l (kind text, id text, own boolean)
    group by 1 order by 1
  ) as locks;

  if conditions <> '[]' then
    losers := array(
      select c.n from jsonb_to_recordset(conditions) as c (n int, kind text, id text, version bigint)
      where c.version <> coalesce((select max(e.sequence) from journal.events e
                                   where e.aggregate_type = c.kind and e.aggregate_id = c.id), 0)
    );
  end if;
  if answers <> '[]' then
    losers := losers || array(
      select given.n from jsonb_to_recordset(answers) as given (n int, key bytea)
      join journal.answers a on a.key = given.key and a.answered_at > clock_timestamp() - interval '24 hours'
    );
    delete from journal.answers a using jsonb_to_recordset(answers) as given (n int, key bytea)
    where a.key = given.key and a.answered_at <= clock_timestamp() - interval '24 hours' and given.n <> all (losers);
  end if;
  foreach lost in array losers loop
    return next;
  end loop;

  if taken <> '[]' then
    for lost, claim_kind, claim_key in
      select t.n, t.kind, t.key
      from jsonb_to_recordset(taken) as t (n int, kind text, key text, holder uuid)
      join journal.claims held on held.kind = t.kind and held.key = t.key
      where t.n <> all (losers) and not (held.holder = t.holder and exists (
        select from jsonb_to_recordset(released) as r (n int, kind text, key text, holder uuid)
        where r.n = t.n and r.kind = held.kind and r.holder = t.holder and coalesce(r.key, held.key) = held.key))
    loop
      losers := losers || lost;
      return next;
    end loop;
  end if;
  if released <> '[]' then
    delete from journal.claims held
    using jsonb_to_recordset(released) as r (n int, kind text, key text, holder uuid)
    where r.n <> all (losers)
      and held.holder = r.holder and held.kind = r.kind and held.key = coalesce(r.key, held.key);
  end if;
  if taken <> '[]' then
    insert into journal.claims (kind, key, holder)
    select t.kind, t.key, t.holder from jsonb_to_recordset(taken) as t (n int, kind text, key text, holder uuid)
    where t.n <> all (losers) order by 1, 2;
  end if;

  return query
  insert into journal.events
    (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
  select e.kind, e.id, e.sequence, e.type, e.version, e.payload, e.metadata, e.event_id
  from rows from (jsonb_to_recordset(events) as (n int, event_id uuid, kind text, id text, sequence bigint,
                                                 type text, version text, payload jsonb, metadata jsonb))
       with ordinality as e (n, event_id, kind, id, sequence, type, version, payload, metadata, place)
  where e.n <> all (losers) order by e.place
  returning events.event_id, events.epoch, events.tx_id::text, events.position, null::int, null::text, null::text;

  if answers <> '[]' then
    insert into journal.answers (key, fingerprint, caller, aggregate_id, version, epoch, tx_id, position)
    select a.key, a.fingerprint, a.caller, a.id, a.version, e.epoch, e.tx_id, e.position
    from jsonb_to_recordset(answers) as a (n int, key bytea, fingerprint bytea, caller uuid, kind text, id text,
                                           version bigint)
    join journal.events e on e.aggregate_type = a.kind and e.aggregate_id = a.id and e.sequence = a.version
    where a.n <> all (losers) order by a.key;
  end if;
end $$;
