-- Read models as they were at some moment: `ludoteca rebuild --at` makes their tables, and makes them anew.
create schema past;
grant usage, create on schema past to ludoteca_app;
