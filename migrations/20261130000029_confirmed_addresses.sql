-- Beside each person: whether mail to their address arrives, and whether they have corrected their birth date.
alter table read.users
    add column email_confirmed boolean not null default false,
    add column birth_date_corrected boolean not null default false;
