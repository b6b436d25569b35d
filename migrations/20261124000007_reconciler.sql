-- What the reconciler looks for: few rows among many.

create index orders_unpaid on read.orders (created_at) where status in ('awaiting_payment', 'payment_failed');
create index payments_unsettled on read.payments (updated_at) where status in ('initiated', 'submitted', 'pending');
