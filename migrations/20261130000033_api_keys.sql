-- Keys of programs, as hashes; their names are sealed by their owners' keys. Which of them counts, and what for, the
-- account's history says.
create table vault.api_keys (
  key_id uuid primary key,
  user_id uuid not null,
  token_hash bytea not null,
  sealed bytea not null,
  two_factors boolean not null,
  made_at timestamptz not null,
  used_at timestamptz
);
create index api_keys_user on vault.api_keys (user_id);
grant select, insert, update, delete on vault.api_keys to ludoteca_app;

-- What authority changes: a key that is revoked as well.
drop index journal.events_of_authority;
create index events_of_authority on journal.events (recorded_at)
  where event_type in ('UserErased', 'UserRoleChanged', 'UserPasswordChanged', 'UserSessionsEnded', 'UserApiKeyRevoked');
