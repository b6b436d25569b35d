-- What of a person waits to be confirmed, and how the store knew that a buyer was old enough.
alter table read.users
    add column pending_email text,
    add column counted_birth_date date;
alter table read.orders add column age_source text;
