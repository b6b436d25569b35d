-- What staff looked at of people. It is added to and read; nobody of the store changes or removes it.
create table vault.access_log (
  entry bigint generated always as identity primary key,
  accessed_at timestamptz not null,
  staff_id uuid not null,
  key_id uuid,
  about_id uuid,
  path text not null,
  query text,
  request_id text
);
create index access_log_about on vault.access_log (about_id, entry) where about_id is not null;
create index access_log_staff on vault.access_log (staff_id, entry);
grant select, insert on vault.access_log to ludoteca_app;
