-- Mail waits in the vault like the webhooks do: tried again later, given up visibly, and nobody waits for another's.

alter table vault.mail
  drop column begun_at,
  add column sequence bigint not null default 0,
  add column noted_at timestamptz not null default now(),
  add column attempts int not null default 0,
  add column due_at timestamptz not null default now(),
  add column dead_at timestamptz,
  add column last_error text;
-- What an earlier version began, it sent or will never send.
update vault.mail set sent_at = now() where sent_at is null;

create index mail_due on vault.mail (due_at) where sent_at is null and dead_at is null;

-- How a person wants to be spoken to.
create table vault.preferences (
  user_id uuid primary key,
  language text not null
);

grant select, insert, update, delete on vault.preferences to ludoteca_app;
