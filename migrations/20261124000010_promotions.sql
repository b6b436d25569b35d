-- What games cost for a time: the price is what they cost now, the list price what they cost without a promotion.

alter table read.games
  add column list_price bigint not null default 0,
  -- The promotion that holds now.
  add column promotion jsonb,
  -- Those that are not over.
  add column promotions jsonb not null default '[]';
update read.games set list_price = price;
create index games_promoted on read.games (game_id) where promotions <> '[]';

do $$
declare side text;
begin
  foreach side in array array['a', 'b'] loop
    execute format($sql$
      update read.search_%1$s_documents
      set document = document || jsonb_build_object('list_price', document -> 'price', 'promotion', null);
    $sql$, side);
  end loop;
end $$;
