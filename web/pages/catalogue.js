// Home, search and a game.

import { html, useEffect, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { day, number, t } from '../i18n.js';
import { Age, Cards, change, Cover, Failure, Price, state, Title, useLoaded } from '../ui.js';

const find = (query) => api.get(`/jogos/busca?${query}`);

export function Home() {
  const [popular, error] = useLoaded(() => find('sort=popular&limit=12'), `popular ${state.user?.id}`);
  const [newest] = useLoaded(() => find('sort=newest&limit=12'), `newest ${state.user?.id}`);
  return html`<section class="hero"><${Title}>${t('Games worth coming home to')}<//>
      <p>${t('Find one in the time of a keystroke, pay by card or Pix, and play it from your library.')}</p></section>
    <${Failure} error=${error} />
    <h2>${t('Popular')}</h2><${Cards} games=${popular?.hits} wait=${12} />
    <h2>${t('New')}</h2><${Cards} games=${newest?.hits} wait=${12} />`;
}

const SORTS = { relevance: 'Relevance', popular: 'Best sellers', newest: 'Newest', cheapest: 'Cheapest', dearest: 'Dearest' };
const KINDS = { genre: ['Genre', 'genres'], platform: ['Platform', 'platforms'], tag: ['Tag', 'tags'] };

export function Search({ query }) {
  const [shown, setShown] = useState(24);
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  const asked = query.toString();
  useEffect(() => { setShown(24); }, [asked]);
  useEffect(() => {
    const leaving = new AbortController();
    // A keystroke that follows at once replaces this one.
    const soon = setTimeout(() => {
      api.get(`/jogos/busca?${asked}${asked && '&'}limit=${Math.min(shown, 100)}`, { signal: leaving.signal })
        .then((answer) => { setFound(answer); setError(null); }, (problem) => problem.name !== 'AbortError' && setError(problem));
    }, 60);
    return () => { clearTimeout(soon); leaving.abort(); };
  }, [asked, shown, state.user?.id]);
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
    return html`<fieldset key=${name}><legend>${t(label)}</legend><div class="scroll" tabindex="0" role="group" aria-label=${t(label)}>${counts.map(([value, count]) => html`<label class="check" key=${value}>
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
        <option value="">${t('any')}</option>${[0, 2000, 5000, 10000, 20000].map((amount) => html`<option value=${amount}>${amount === 0 ? t('Free') : html`<${Price} value=${{ amount, currency: 'BRL' }} />`}</option>`)}</select></fieldset>
      <fieldset class="two"><div><label for="from">${t('Released from')}</label><input id="from" type="number" min="1950" max="2200" value=${query.get('year_min') || ''} onChange=${set('year_min')} /></div>
        <div><label for="until">${t('to')}</label><input id="until" type="number" min="1950" max="2200" value=${query.get('year_max') || ''} onChange=${set('year_max')} /></div></fieldset>
      ${facet('tag')}
      ${state.user && html`<label class="check"><input type="checkbox" checked=${query.get('exclude_owned') === 'true'} onChange=${() => go((next) => (next.get('exclude_owned') ? next.delete('exclude_owned') : next.set('exclude_owned', 'true')))} />${t('Hide games I own')}</label>`}
    </details>
    <div><div class="row"><p role="status" aria-live="polite" id="total">${found ? (found.total === 1 ? t('1 game') : t('{n} games', { n: number(found.total) })) : ' '}</p>
        ${[...query.keys()].some((name) => name !== 'q') && html`<p><a href="#/search${query.get('q') ? `?q=${encodeURIComponent(query.get('q'))}` : ''}">${t('Clear filters')}</a></p>`}</div>
      <${Failure} error=${error} />
      ${found?.total === 0 ? html`<p>${t('No games match. Try fewer filters or another word.')}</p>` : html`<${Cards} games=${found?.hits} wait=${24} />`}
      ${found && found.total > shown && shown < 100 && html`<p class="row"><button class="button quiet" onClick=${() => setShown(shown + 24)}>${t('Show more')}</button></p>`}
    </div></div>`;
}

export function Game({ rest: [id] }) {
  const [game, error] = useLoaded(() => api.get(`/jogos/${id}`), id);
  const [similar, setSimilar] = useState(null);
  useEffect(() => {
    if (!game) return;
    const tags = game.tags.slice(0, 3).map((tag) => `tag=${encodeURIComponent(tag)}`).join('&');
    find(`${tags || game.genres.map((genre) => `genre=${encodeURIComponent(genre)}`).join('&')}&sort=popular&limit=7`)
      .then((found) => setSimilar(found.hits.filter((hit) => hit.id !== id).slice(0, 6)), () => setSimilar([]));
  }, [game]);
  if (error) return html`<${Title}>${t('There is no such page')}<//><${Failure} error=${error} />`;
  if (!game) return html`<${Title}>…<//><div class="split product"><div class="waiting"></div><div class="waiting"></div></div>`;
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
  if (state.owned.has(game.id)) return html`<a class="button quiet" href="#/library">${t('In your library')}</a>`;
  if (game.retired) return html`<span>${t('This game is no longer sold.')}</span>`;
  if (state.basket.includes(game.id)) return html`<a class="button" href="#/basket">${t('Go to the basket')}</a>`;
  return html`<button class="button" id="add" onClick=${() => change({ basket: [...state.basket, game.id] })}>${t('Put into the basket')}</button>`;
}
