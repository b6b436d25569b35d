-- What people hold to open their accounts, sealed by their keys: which of them counts, the account's history says.
create table vault.authenticators (
  authenticator_id uuid primary key,
  user_id uuid not null,
  -- Of a passkey: a keyed hash of its credential's id, by which no two accounts have the same.
  credential_hash bytea unique,
  sealed bytea not null,
  added_at timestamptz not null,
  used_at timestamptz,
  -- Of an app: the half minute of the last code that was accepted, and how many were wrong since.
  last_step bigint not null default 0,
  failures int not null default 0
);
create index authenticators_user on vault.authenticators (user_id);

-- Recovery codes that were not used, as hashes.
create table vault.recovery_codes (
  authenticator_id uuid not null,
  user_id uuid not null,
  code_hash bytea not null,
  primary key (authenticator_id, code_hash)
);
create index recovery_codes_user on vault.recovery_codes (user_id);

-- What was begun with an authenticator, and is to be finished once and soon.
create table vault.ceremonies (
  ceremony_id uuid primary key,
  kind text not null,
  user_id uuid,
  state bytea not null,
  expires_at timestamptz not null
);
create index ceremonies_expired on vault.ceremonies (expires_at);
create index ceremonies_user on vault.ceremonies (user_id);

grant select, insert, update, delete on vault.authenticators, vault.recovery_codes, vault.ceremonies to ludoteca_app;

-- Whether a session was opened with two factors, and whether a password is good only beside a second one.
alter table vault.sessions add column two_factors boolean not null default false;
alter table vault.credentials add column is_weak boolean not null default false;

-- Which devices have logged in to an account, as keyed hashes of their kind and network.
create table vault.devices (
  user_id uuid not null,
  device_hash bytea not null,
  used_at timestamptz not null,
  primary key (user_id, device_hash)
);
grant select, insert, update, delete on vault.devices to ludoteca_app;
