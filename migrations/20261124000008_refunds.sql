-- Games that were, or are to be, paid back; shown with their order.

alter table read.orders add column refunds jsonb not null default '[]';
create index orders_refunding on read.orders (updated_at) where refunds @> '[{"status": "requested"}]';
