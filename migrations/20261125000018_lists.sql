-- Until when the PSP's lists of charges and refunds were compared with the journal.
create table journal.lists (
  list text primary key,
  compared_until timestamptz not null
);

grant select, insert, update on journal.lists to ludoteca_app;
