-- What is old is found without reading what is not.
create index webhook_inbox_handled on vault.webhook_inbox (handled_at) where handled_at is not null;
create index mail_sent on vault.mail (sent_at) where sent_at is not null;
