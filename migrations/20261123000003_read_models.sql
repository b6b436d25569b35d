-- The read models: all of this can be dropped and folded from the journal again.

create extension if not exists unaccent;
create extension if not exists pg_trgm;

create schema read;

create text search configuration read.titles (copy = simple);
alter text search configuration read.titles
  alter mapping for hword, hword_part, word, asciihword, asciiword, hword_asciipart, numword, numhword
  with unaccent, simple;

-- How far each projection has come: in the mirror and in the journal.
create table read.checkpoints (
  projection text primary key,
  sequence bigint not null default 0,
  epoch int not null default 0,
  tx_id xid8 not null default '0',
  position bigint not null default 0
);

-- Events that a projection could not apply, and those of the same aggregate that came after them.
create table read.parked (
  projection text not null,
  sequence bigint not null,
  aggregate_id text not null,
  event_id uuid not null,
  event_type text not null,
  error text not null,
  parked_at timestamptz not null default now(),
  primary key (projection, sequence)
);

create table read.users (
  user_id uuid primary key,
  name text not null,
  email text not null,
  birth_date date,
  role text not null,
  erased boolean not null default false,
  version bigint not null,
  registered_at timestamptz not null
);

create table read.games (
  game_id uuid primary key,
  title text not null,
  description text not null,
  developer text not null,
  publisher text not null,
  genres text[] not null,
  tags text[] not null,
  platforms text[] not null,
  release_date date,
  age_rating int not null,
  price bigint not null,
  currency text not null,
  retired boolean not null default false,
  version bigint not null,
  created_at timestamptz not null,
  words tsvector not null,
  folded_title text not null
);

create index games_newest on read.games (created_at desc, game_id desc) where not retired;
create index games_words on read.games using gin (words) where not retired;
create index games_trigrams on read.games using gin (folded_title gin_trgm_ops) where not retired;

create table read.orders (
  order_id uuid primary key,
  user_id uuid not null,
  status text not null,
  total bigint not null,
  currency text not null,
  lines jsonb not null,
  payment_id uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

create index orders_of_user on read.orders (user_id, created_at desc, order_id desc);
create index orders_newest on read.orders (created_at desc, order_id desc);

create table read.payments (
  payment_id uuid primary key,
  order_id uuid not null,
  user_id uuid not null,
  attempt int not null,
  status text not null,
  amount bigint not null,
  currency text not null,
  refunded bigint not null default 0,
  psp_reference text,
  failure jsonb,
  next_action jsonb,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

create index payments_of_order on read.payments (order_id);
create index payments_by_reference on read.payments (psp_reference);

create table read.library (
  user_id uuid not null,
  game_id uuid not null,
  order_id uuid not null,
  title text not null,
  acquired_at timestamptz not null,
  primary key (user_id, game_id)
);

create index library_newest on read.library (user_id, acquired_at desc, game_id desc);

grant usage on schema read to ludoteca_app;
grant select, insert, update, delete on all tables in schema read to ludoteca_app;
