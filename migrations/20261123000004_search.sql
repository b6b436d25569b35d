-- The search index on Postgres, apart from the catalogue: the indexer feeds it as it would feed any other engine.

create extension if not exists fuzzystrmatch;

alter table read.games
  drop column words,
  drop column folded_title,
  add column sales bigint not null default 0,
  add column sequence bigint not null default 0;

create index games_sequence on read.games (sequence);
create index games_popular on read.games (sales desc, game_id) where not retired;

-- Two sides: one is searched while the other is built.
do $$
declare side text;
begin
  foreach side in array array['a', 'b'] loop
    execute format($sql$
      create table read.search_%1$s (
        game_id uuid primary key,
        sequence bigint not null,
        document jsonb not null,
        title text not null,
        folded_title text not null,
        genres text[] not null,
        tags text[] not null,
        platforms text[] not null,
        release_date date,
        age_rating int not null,
        price bigint not null,
        sales bigint not null,
        words tsvector not null,
        -- Short enough to stay in the row, so that ranking need not fetch all words.
        title_words tsvector not null
      );
      create index on read.search_%1$s using gin (words);
      create index on read.search_%1$s using gin (genres);
      create index on read.search_%1$s using gin (tags);
      create index on read.search_%1$s (price);
      create index on read.search_%1$s (sales desc, release_date desc nulls last, game_id);
      grant select, insert, update, delete on read.search_%1$s to ludoteca_app;
    $sql$, side);
  end loop;
end $$;

create table read.search_live (
  one boolean primary key default true check (one),
  side char not null check (side in ('a', 'b'))
);
insert into read.search_live (side) values ('a');

-- Every word that a title, a label or a maker's name has: what a misspelt word may have meant.
create table read.search_words (
  word text primary key,
  letters int not null generated always as (char_length(word)) stored
);
create index on read.search_words (letters);

grant select, update on read.search_live to ludoteca_app;
grant select, insert on read.search_words to ludoteca_app;
