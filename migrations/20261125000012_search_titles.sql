-- Titles as wholes: one that was typed with a letter or a space wrong is found by what is right about it.

do $$
declare side text;
begin
  foreach side in array array['a', 'b'] loop
    execute format($sql$
      -- The title without spaces, forwards and backwards: a typo leaves its beginning or its end as they are.
      alter table read.search_%1$s
        add column compact text not null generated always as (replace(folded_title, ' ', '')) stored,
        add column letters int not null generated always as (char_length(replace(folded_title, ' ', ''))) stored;
      create index on read.search_%1$s (letters, compact text_pattern_ops);
      create index on read.search_%1$s (letters, reverse(compact) text_pattern_ops);
      create index on read.search_%1$s (folded_title text_pattern_ops);
      create index on read.search_%1$s using gin (title_words);
    $sql$, side);
  end loop;
end $$;

-- Each gateway keeps the words itself, and asks for those that came since.
alter table read.search_words drop column letters, add column n bigint generated always as identity;
create unique index on read.search_words (n);
