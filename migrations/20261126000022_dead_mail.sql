-- Mail that could not be sent goes by age as well.
create index mail_dead on vault.mail (dead_at) where dead_at is not null;
