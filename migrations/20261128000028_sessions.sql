-- Which password counts, the account's history says; the vault keeps each under its own id. Those from before keep the
-- id of their account.
alter table vault.credentials add column credential_id uuid, add column kept_at timestamptz not null default now();
update vault.credentials set credential_id = user_id;
alter table vault.credentials drop constraint credentials_pkey, add primary key (credential_id);
create index credentials_user on vault.credentials (user_id);

-- Sessions say where they were opened, end on a day whatever happens, and stay for a while when they have ended, so that
-- every gateway learns of it. Those from before end here.
delete from vault.sessions;
alter table vault.sessions
  add column generation int not null,
  add column device text not null,
  add column network text not null,
  add column opened_at timestamptz not null,
  add column ends_at timestamptz not null,
  add column ended_at timestamptz,
  -- The password whose change takes the session along into the next generation.
  add column kept_by uuid;
create index sessions_ended on vault.sessions (ended_at) where ended_at is not null;

-- Gateways look once a second for who was erased, logged out or given another role lately.
drop index journal.events_of_authority;
create index events_of_authority on journal.events (recorded_at)
  where event_type in ('UserErased', 'UserRoleChanged', 'UserPasswordChanged', 'UserSessionsEnded');
