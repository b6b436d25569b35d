-- Read models as they were at some moment, where `ludoteca rebuild --at` puts them. They have the columns of those of now: a
-- migration that changes one changes the other. The store's login fills them, and cannot put anything in their place.
create schema past;
grant usage on schema past to ludoteca_app;

do $$
declare name text;
begin
  foreach name in array array['games', 'orders', 'payments', 'library', 'disputes'] loop
    execute format('create table past.%1$I (like read.%1$I including all)', name);
    execute format('grant select, insert, truncate on past.%I to ludoteca_app', name);
  end loop;
end $$;

-- What is in them.
create table past.moments (
  projection text primary key,
  events bigint not null,
  parked bigint not null
);
grant select, insert, update on past.moments to ludoteca_app;
