-- A search of many matches reads each of them: what only the page shows lies elsewhere, so that there is less to read.

do $$
declare side text;
begin
  foreach side in array array['a', 'b'] loop
    execute format($sql$
      create table read.search_%1$s_documents (
        game_id uuid primary key,
        document jsonb not null
      );
      insert into read.search_%1$s_documents select game_id, document from read.search_%1$s;
      alter table read.search_%1$s drop column document, drop column title;
      grant select, insert, update, delete on read.search_%1$s_documents to ludoteca_app;
    $sql$, side);
  end loop;
end $$;
