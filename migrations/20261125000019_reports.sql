-- The answer to a request that is about no single aggregate, such as an import, is kept as it was given.
alter table journal.answers alter column aggregate_id drop not null, alter column version drop not null,
  add column report jsonb, add check ((aggregate_id is null) = (report is not null));
