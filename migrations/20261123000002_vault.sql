-- The vault: what must be forgettable (keys of personal data), secret (credentials) or done once (inbox, mail).

create schema vault;

create table vault.subject_keys (
  user_id uuid primary key,
  wrapped_key bytea not null
);

create table vault.credentials (
  user_id uuid primary key,
  password_hash text not null
);

create table vault.refresh_tokens (
  token_hash bytea primary key,
  family uuid not null,
  user_id uuid not null,
  expires_at timestamptz not null,
  used_at timestamptz
);

create index refresh_tokens_family on vault.refresh_tokens (family);
create index refresh_tokens_user on vault.refresh_tokens (user_id);

-- What the PSP told us and we have not worked off yet; kept afterwards, so that a duplicate is known.
create table vault.webhook_inbox (
  event_id text primary key,
  kind text not null,
  payload jsonb not null,
  received_at timestamptz not null default now(),
  attempts int not null default 0,
  due_at timestamptz not null default now(),
  handled_at timestamptz,
  last_error text
);

create index webhook_inbox_due on vault.webhook_inbox (due_at) where handled_at is null;

-- Which event's mail was begun and sent. No address, no text.
create table vault.mail (
  event_id uuid primary key,
  begun_at timestamptz not null,
  sent_at timestamptz
);

grant usage on schema vault to ludoteca_app;
grant select, insert, update, delete on all tables in schema vault to ludoteca_app;
