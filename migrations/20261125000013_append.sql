-- Appending in one statement, which decides nothing and refuses what was decided on something that has moved since.

-- The first answer to a request that carried an idempotency key: which aggregate it was about, as of which version,
-- and where the events that it led to stand. The rest of the answer follows from that history.
create table journal.answers (
  key bytea primary key,
  fingerprint bytea not null,
  caller uuid,
  aggregate_id text not null,
  version bigint not null,
  epoch int,
  tx_id xid8,
  position bigint,
  answered_at timestamptz not null default clock_timestamp()
);
create index answers_caller on journal.answers (caller);
create index answers_age on journal.answers (answered_at);
grant select, insert, update, delete on journal.answers to ludoteca_app;

-- The locks last as long as the statement. They are taken before the transaction gets its id, so that what leans on an
-- aggregate and what changes it stand in the journal in the order in which they were let through; and each query below
-- sees what was committed before the locks were given. One order for all of them, so that nobody waits in a circle.
create function journal.append(
  kind text, id text,
  sequences bigint[], types text[], versions text[], payloads jsonb[], metadatas jsonb[], event_ids uuid[],
  taken_kinds text[], taken_keys text[], released_kinds text[], released_keys text[],
  leant_kinds text[], leant_ids text[], leant_versions bigint[],
  answer_key bytea, answer_fingerprint bytea, answer_caller uuid,
  out at_epoch int, out at_xid text, out at_position bigint
) language plpgsql as $$
begin
  if cardinality(leant_kinds) = 0 then
    perform pg_advisory_xact_lock(hashtextextended(kind || ' ' || id, 0));
  else
    perform case when own then pg_advisory_xact_lock(lock) else pg_advisory_xact_lock_shared(lock) end
    from (
      select hashtextextended(k || ' ' || i, 0) as lock, bool_or(own) as own
      from (select kind, id, true union all select k, i, false from unnest(leant_kinds, leant_ids) as l (k, i))
        as wanted (k, i, own)
      group by 1 order by 1
    ) as locks;
    if exists (
      select from unnest(leant_kinds, leant_ids, leant_versions) as l (k, i, v)
      where v <> coalesce((select max(e.sequence) from journal.events e
                           where e.aggregate_type = l.k and e.aggregate_id = l.i), 0)
    ) then
      raise exception 'what was decided leans on something that has moved since' using errcode = 'serialization_failure';
    end if;
  end if;

  if answer_key is not null then
    delete from journal.answers a
    where a.key = answer_key and a.answered_at < clock_timestamp() - interval '24 hours';
    insert into journal.answers (key, fingerprint, caller, aggregate_id, version)
    values (answer_key, answer_fingerprint, answer_caller, id, sequences[array_upper(sequences, 1)]);
  end if;

  if cardinality(released_kinds) > 0 then
    delete from journal.claims held using unnest(released_kinds, released_keys) as given (k, key)
    where held.holder = id::uuid and held.kind = given.k and held.key = coalesce(given.key, held.key);
  end if;
  if cardinality(taken_kinds) > 0 then
    insert into journal.claims (kind, key, holder)
    select k, taken.key, id::uuid from unnest(taken_kinds, taken_keys) as taken (k, key) order by 1, 2;
  end if;

  -- One by one: a statement over unnested arrays would be planned anew each time.
  for n in 1 .. cardinality(sequences) loop
    insert into journal.events as e
      (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
    values (kind, id, sequences[n], types[n], versions[n], payloads[n], metadatas[n], event_ids[n])
    returning e.epoch, e.tx_id::text, e.position into at_epoch, at_xid, at_position;
  end loop;
  if answer_key is not null then
    update journal.answers a set epoch = at_epoch, tx_id = at_xid::xid8, position = at_position where a.key = answer_key;
  end if;
end $$;

-- Where an event stands and when it was recorded is the database's to say.
revoke insert on journal.events from ludoteca_app;
grant insert (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id)
  on journal.events to ludoteca_app;

-- A hash of a body with a password in it does not belong beside an event, not even a keyed one.
update journal.events set metadata = metadata - 'fingerprint' - 'idempotency_key'
where metadata ? 'fingerprint' or metadata ? 'idempotency_key';

-- A key that was destroyed leaves its row: nobody's id comes to life again.
alter table vault.subject_keys alter column wrapped_key drop not null;
