-- Payments that the buyer's bank disputes, for staff; and games that are out of reach meanwhile.

create table read.disputes (
  dispute text primary key,
  payment_id uuid not null,
  order_id uuid not null,
  user_id uuid not null,
  amount bigint not null,
  currency text not null,
  reason text not null,
  status text not null,
  opened_at timestamptz not null,
  updated_at timestamptz not null
);
create index disputes_newest on read.disputes (opened_at desc, payment_id desc);
grant select, insert, update, delete on read.disputes to ludoteca_app;

alter table read.library add column suspended boolean not null default false;
alter table read.orders add column standing text not null default 'good';
