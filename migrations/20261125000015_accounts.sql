-- One row for each session instead of one for each token: whoever ends it meets every token of it. Sessions from before
-- end here.
drop table vault.refresh_tokens;

create table vault.sessions (
  family uuid primary key,
  user_id uuid not null,
  -- SHA-256 of the token that may be used, and of the one before.
  current bytea not null,
  previous bytea,
  rotated_at timestamptz not null,
  expires_at timestamptz not null
);

create index sessions_user on vault.sessions (user_id);
create index sessions_expiry on vault.sessions (expires_at);

grant select, insert, update, delete on vault.sessions to ludoteca_app;

-- Who may be an admin, without reading everybody.
create index events_admins on journal.events (aggregate_id)
  where aggregate_type = 'user' and payload->>'role' = 'admin';
