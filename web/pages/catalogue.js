// Home, search and a game.

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { currencyOf, day, money, number, t } from '../i18n.js';
import { Age, Cards, change, Cover, Failure, Price, state, Title, useLoaded } from '../ui.js';

const find = (query) => api.get(`/jogos/busca?${query}`);

export function Home() {
  const [popular, error, again] = useLoaded(() => find('sort=popular&limit=12'), 'popular');
  const [newest, missing, newestAgain] = useLoaded(() => find('sort=newest&limit=12'), 'newest');
  return html`<section class="hero"><${Title}>${t('Games worth coming home to')}<//>
      <p>${t('Find one as you type, pay by card or Pix, and play it from your library.')}</p></section>
    <h2>${t('Popular')}</h2><${Failure} error=${error} again=${again} />${!error && html`<${Cards} games=${popular?.items} wait=${12} />`}
    <h2>${t('New')}</h2><${Failure} error=${missing} again=${newestAgain} />${!missing && html`<${Cards} games=${newest?.items} wait=${12} />`}`;
}

const SORTS = { relevance: 'Relevance', popular: 'Best sellers', newest: 'Newest', cheapest: 'Cheapest', dearest: 'Most expensive' };
const KINDS = { genre: ['Genre', 'genres'], platform: ['Platform', 'platforms'], tag: ['Tag', 'tags'] };

const PAGE = 24;
/** How far into its hits the gateway lets a search page. */
const DEEPEST = 10000;
/** The pages of the last searches, so that whoever comes back within some minutes finds the list as it was. */
const remembered = new Map();
const FRESH = 5 * 60 * 1000;
function remember(asked, found) {
  remembered.delete(asked);
  remembered.set(asked, { found, at: Date.now() });
  if (remembered.size > 20) remembered.delete(remembered.keys().next().value);
}
const recalled = (asked) => { const held = remembered.get(asked); return held && Date.now() - held.at < FRESH ? held.found : undefined; };

/** The hits of a search so far: `[found, error, more, again]`. */
function useSearch(query) {
  // Whoever is here, and what they own, may be part of what is found.
  const asked = `${query}#${state.user?.id ?? ''} ${state.owned.size}`;
  const [held, hold] = useState({ asked, found: recalled(asked) });
  const leaving = useRef(null);
  const [error, setError] = useState(null);
  const [turn, setTurn] = useState(0);
  const load = (offset, signal) => api.get(`/jogos/busca?${query}${query && '&'}limit=${PAGE}&offset=${offset}`, { signal });
  const got = (found) => { remember(asked, found); hold({ asked, found }); setError(null); };
  const failed = (problem) => problem.name !== 'AbortError' && setError(problem);
  useEffect(() => {
    const known = recalled(asked);
    if (known && !turn) {
      hold({ asked, found: known });
      leaving.current = new AbortController();
      return () => leaving.current.abort();
    }
    leaving.current = new AbortController();
    // A keystroke that follows at once replaces this one, and whatever is still on its way.
    const soon = setTimeout(() => load(0, leaving.current.signal).then(got, failed), 60);
    return () => { clearTimeout(soon); leaving.current.abort(); };
  }, [asked, turn]);
  const { found } = held;
  const more = () => load(found.items.length, leaving.current.signal).then((next) => {
    const known = new Set(found.items.map((hit) => hit.id));
    got({ ...found, items: [...found.items, ...next.items.filter((hit) => !known.has(hit.id))] });
  }, failed);
  return [found, error, more, () => setTurn(turn + 1)];
}

/** What the search did where not all words were found as they were typed. */
function Reading({ found }) {
  if (!found?.reading) return null;
  const { text, without } = found.reading;
  return html`<p class="soft">${without.length
    ? t('No game matches all of these words. Showing results without “{words}”', { words: without.join(' ') })
    : t('Results for “{reading}”', { reading: text })}</p>`;
}

export function Search({ query }) {
  const [found, error, more, again] = useSearch(query.toString());
  const go = (change) => {
    const next = new URLSearchParams(query);
    change(next);
    history.replaceState(null, '', `#/search?${next}`);
    dispatchEvent(new HashChangeEvent('hashchange'));
  };
  const set = (name) => (event) => go((next) => (event.target.value ? next.set(name, event.target.value) : next.delete(name)));
  const toggle = (name, value) => () => go((next) => {
    const others = next.getAll(name).filter((other) => other !== value);
    const chosen = others.length === next.getAll(name).length ? [...others, value] : others;
    next.delete(name);
    chosen.forEach((each) => next.append(name, each));
  });
  const facet = (name) => {
    const [label, kind] = KINDS[name];
    const chosen = query.getAll(name);
    const counts = Object.entries(found?.facets[kind] || {}).sort((a, b) => b[1] - a[1]).slice(0, 14);
    chosen.filter((value) => !counts.some(([other]) => other === value)).forEach((value) => counts.unshift([value, 0]));
    return html`<fieldset key=${name}><legend>${t(label)}</legend><div class="scroll ${found ? '' : `reserved-${name}`}" tabindex="0" role="group" aria-label=${t(label)}>${counts.map(([value, count]) => html`<label class="check" key=${value}>
      <input type="checkbox" name=${name} value=${value} checked=${chosen.includes(value)} onChange=${toggle(name, value)} /><span>${value}</span><span class="soft">${number(count)}</span></label>`)}</div></fieldset>`;
  };
  const wide = matchMedia('(min-width: 820px)').matches;
  return html`<${Title}>${t('Search')}${query.get('q') ? `: ${query.get('q')}` : ''}<//>
    <div class="split search"><details class="facets" open=${wide}><summary>${t('Filters')}</summary>
      <fieldset><label for="sort">${t('Sort by')}</label><select id="sort" value=${query.get('sort') || 'relevance'} onChange=${set('sort')}>
        ${Object.entries(SORTS).map(([value, label]) => html`<option value=${value}>${t(label)}</option>`)}</select></fieldset>
      ${facet('genre')}${facet('platform')}
      <fieldset><label for="age">${t('Age at most')}</label><select id="age" value=${query.get('age_max') || ''} onChange=${set('age_max')}>
        <option value="">${t('any')}</option>${[0, 10, 12, 14, 16].map((years) => html`<option value=${years}>${years}</option>`)}</select></fieldset>
      <fieldset><label for="price">${t('Price at most')}</label><select id="price" value=${query.get('price_max') || ''} onChange=${set('price_max')}>
        <option value="">${t('any')}</option>${[0, 20, 50, 100, 200].map((whole) => whole * currencyOf.factor(currencyOf.store)).map((amount) => html`<option value=${amount}>${amount === 0 ? t('Free') : money({ amount, currency: currencyOf.store })}</option>`)}</select></fieldset>
      <fieldset class="two"><div><label for="from">${t('Released from')}</label><input id="from" type="number" min="1950" max="2200" value=${query.get('year_min') || ''} onChange=${set('year_min')} /></div>
        <div><label for="until">${t('Released until')}</label><input id="until" type="number" min="1950" max="2200" value=${query.get('year_max') || ''} onChange=${set('year_max')} /></div></fieldset>
      ${facet('tag')}
      ${state.user && html`<label class="check"><input type="checkbox" checked=${query.get('exclude_owned') === 'true'} onChange=${() => go((next) => (next.get('exclude_owned') ? next.delete('exclude_owned') : next.set('exclude_owned', 'true')))} />${t('Hide games I own')}</label>`}
    </details>
    <div><div class="row"><p role="status" aria-live="polite" id="total">${found ? (found.total === 1 ? t('1 game') : t('{n} games', { n: number(found.total) })) : ' '}</p>
        ${[...query.keys()].some((name) => name !== 'q') && html`<p><a href="#/search${query.get('q') ? `?q=${encodeURIComponent(query.get('q'))}` : ''}">${t('Clear filters')}</a></p>`}</div>
      <${Reading} found=${found} /><${Failure} error=${error} again=${again} />
      ${found?.total === 0 ? html`<p>${t('No games match. Try fewer filters or another word.')}</p>` : (found || !error) && html`<${Cards} games=${found?.items} wait=${PAGE} />`}
      ${found && found.total > found.items.length && found.items.length < DEEPEST && html`<p class="row"><button class="button quiet" id="more" onClick=${more}>${t('Show more')}</button></p>`}
    </div></div>`;
}

export function Game({ rest: [id] }) {
  const [game, error, again] = useLoaded(() => api.get(`/jogos/${id}`), id);
  const [similar, setSimilar] = useState(null);
  useEffect(() => {
    if (!game) return;
    const tags = game.tags.slice(0, 3).map((tag) => `tag=${encodeURIComponent(tag)}`).join('&');
    find(`${tags || game.genres.map((genre) => `genre=${encodeURIComponent(genre)}`).join('&')}&sort=popular&limit=7`)
      .then((found) => setSimilar(found.items.filter((hit) => hit.id !== id).slice(0, 6)), () => setSimilar([]));
  }, [game]);
  if (error) return html`<${Title}>${error.status ? t('There is no such page') : '…'}<//><${Failure} error=${error} again=${error.status === 404 ? null : again} />`;
  if (!game) return html`<div class="split product"><div class="waiting cover"></div><div><${Title}>…<//><div class="waiting"></div></div></div><h2>${t('Similar games')}</h2><${Cards} />`;
  const fact = (label, value) => value && html`<tr><th scope="row">${t(label)}</th><td>${value}</td></tr>`;
  return html`<div class="split product"><${Cover} game=${game} /><div>
      <${Title}>${game.title}<//>
      <p class="row"><${Age} years=${game.age_rating} />${game.genres.map((genre) => html`<a class="tag" href="#/search?genre=${encodeURIComponent(genre)}">${genre}</a>`)}</p>
      <p>${game.description}</p>
      <p class="row"><span class="button quiet" role="presentation"><${Price} value=${game.price} before=${game.list_price} /></span><${Buy} game=${game} /></p>
      <div class="table"><table><tbody>${fact('Developer', game.developer)}${fact('Publisher', game.publisher)}${fact('Released', day(game.release_date))}${fact('Platforms', game.platforms.join(', '))}</tbody></table></div>
      <p class="row">${game.tags.slice(0, 8).map((tag) => html`<a class="tag" href="#/search?tag=${encodeURIComponent(tag)}">${tag}</a>`)}</p>
    </div></div>
    ${similar?.length !== 0 && html`<h2>${t('Similar games')}</h2><${Cards} games=${similar} />`}`;
}

function Buy({ game }) {
  const [put, setPut] = useState(false);
  // The button is gone once it was pressed; what took its place goes on with the focus.
  const follow = (link) => { if (put && link && document.activeElement === document.body) link.focus(); };
  if (state.owned.has(game.id)) return html`<a class="button quiet" href="#/library">${t('In your library')}</a>`;
  if (game.retired) return html`<span>${t('This game is no longer sold.')}</span>`;
  if (state.basket.includes(game.id)) return html`<a class="button" href="#/basket" ref=${follow}>${t('Go to the basket')}</a>`;
  return html`<button class="button" id="add" onClick=${() => { setPut(true); change({ basket: [...state.basket, game.id] }); }}>${t('Add to basket')}</button>`;
}
