// For staff: the catalogue, orders, dead letters, events and health.

import { html, useEffect, useRef, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { currencyOf, moment, money, number, t } from '../i18n.js';
import { People } from './people.js';
import { closeDialog, Dialog, Failure, Field, fold, Form, Price, state, Sure, Title, typedMoney, useLoaded, usePages } from '../ui.js';

const TABS = { '': 'Catalogue', orders: 'Orders', dlq: 'Dead letters', disputes: 'Disputes', people: 'People', events: 'Events', health: 'Health' };

export function Admin({ rest: [tab = '', id] }) {
  if (state.user?.role !== 'admin') return html`<${Title}>${t('Admin')}<//><p>${t('Only for admins.')}</p>`;
  const Page = Object.hasOwn(PAGES, tab) ? PAGES[tab] : Catalogue;
  return html`<${Title}>${t('Admin')}<//><nav class="tabs" aria-label=${t('Admin')}>${Object.entries(TABS).map(([to, label]) => html`<a href="#/admin${to && `/${to}`}" aria-current=${(tab === 'game' ? '' : tab) === to ? 'page' : undefined}>${t(label)}</a>`)}</nav>
    <${Page} id=${id} />`;
}

const PAGES = { '': Catalogue, game: Edit, orders: Orders, dlq: DeadLetters, disputes: Disputes, people: People, events: Events, health: Health };

/** Games on sale by a search; those no longer sold are in no index, and are filtered here. */
const findGames = async (text, retired) => (retired ? api.all('/jogos?retired=true') : (await api.get(`/jogos/busca?limit=50&q=${encodeURIComponent(text)}`)).items);

function Catalogue() {
  const [text, setText] = useState('');
  const [retired, setRetired] = useState(false);
  const [found, error, reload] = useLoaded(() => findGames(text, retired), retired ? 'retired' : text);
  const shown = (found || []).filter((game) => !retired || fold(game.title).includes(fold(text)));
  const [imported, setImported] = useState(null);
  const bringIn = async (_, form) => {
    const csv = await form.elements.file.files[0].text();
    setImported(await api.post('/jogos/importacao', csv, { 'Content-Type': 'text/csv' }));
    reload();
  };
  return html`<div class="row"><a class="button" href="#/admin/game/new">${t('New game')}</a></div>
    <p><label for="games">${t('Search games')}</label><input id="games" type="search" value=${text} onInput=${(event) => setText(event.target.value)} /></p>
    <p class="row">${[[false, 'On sale'], [true, 'No longer sold']].map(([value, label]) => html`<label class="check"><input type="radio" name="retired" checked=${retired === value} onChange=${() => setRetired(value)} />${t(label)}</label>`)}</p>
    <${Failure} error=${error} again=${reload} />
    <div class="table"><table><thead><tr><th scope="col">${t('Title')}</th><th scope="col" class="num">${t('Price')}</th><th scope="col" class="num">${t('Version')}</th></tr></thead>
      <tbody>${shown.map((game) => html`<tr key=${game.id}><td><a href="#/admin/game/${game.id}">${game.title}</a></td><td class="num"><${Price} value=${game.price} /></td><td class="num">${game.version}</td></tr>`)}</tbody></table></div>
    <section class="panel"><h2>${t('Import a catalogue (CSV)')}</h2><${Form} submit=${bringIn} label=${t('Import')}><${Field} name="file" label=${t('File')} type="file" accept=".csv,text/csv" required /><//>
      ${imported && html`<p class="note ok" role="status">${t('{n} new, {k} known, {r} refused', { n: imported.new, k: imported.known, r: imported.refused.length })}</p><ul>${imported.refused.map((line) => html`<li>${line}</li>`)}</ul>`}</section>`;
}

const list = (text) => text.split(',').map((label) => label.trim()).filter(Boolean);
const asGame = (fields, currency) => ({
  title: fields.title, description: fields.description, developer: fields.developer, publisher: fields.publisher,
  genres: list(fields.genres), tags: list(fields.tags), platforms: list(fields.platforms),
  release_date: fields.release_date || undefined, age_rating: Number(fields.age_rating),
  price: typedMoney(fields.price, currency),
});
const EMPTY = { title: '', description: '', developer: '', publisher: '', genres: [], tags: [], platforms: [], release_date: '', age_rating: 0, price: { amount: 0, currency: currencyOf.store } };

/** An amount as one types it. */
const typed = ({ amount, currency }) => (amount / currencyOf.factor(currency)).toFixed(currencyOf.digits(currency));
const step = (currency) => 1 / currencyOf.factor(currency);

/** What two versions of a game have different, field by field. */
const shownAs = (value) => (Array.isArray(value) ? value.join(', ') : value?.currency ? money(value) : String(value ?? ''));
function Differences({ mine, theirs }) {
  const other = { ...theirs, price: theirs.list_price || theirs.price };
  const names = { title: 'Title', description: 'Description', developer: 'Developer', publisher: 'Publisher', genres: 'Genre', tags: 'Tag', platforms: 'Platforms', release_date: 'Release date', age_rating: 'Age rating', price: 'Price' };
  const different = Object.entries(names).filter(([name]) => shownAs(mine[name]) !== shownAs(other[name]));
  return html`<div class="table"><table><thead><tr><th></th><th scope="col">${t('Yours')}</th><th scope="col">${t('Theirs')}</th></tr></thead>
    <tbody>${different.map(([name, label]) => html`<tr key=${name}><th scope="row">${t(label)}</th><td>${shownAs(mine[name])}</td><td>${shownAs(other[name])}</td></tr>`)}</tbody></table></div>`;
}

function Edit({ id }) {
  const [held, setHeld] = useState(null);
  const [conflict, setConflict] = useState(null);
  const [error, setError] = useState(null);
  const [saved, setSaved] = useState(false);
  // What happened is said where somebody looks: beside the button, and scrolled to.
  const news = useRef(null);
  useEffect(() => { if (saved || conflict) news.current?.scrollIntoView({ block: 'center' }); }, [saved, conflict]);
  const fetchGame = async () => {
    const response = await api.request('GET', `/jogos/${id}`);
    return { game: await response.json(), etag: response.headers.get('ETag') };
  };
  useEffect(() => { if (id === 'new') setHeld({ game: EMPTY }); else fetchGame().then(setHeld, setError); }, [id]);
  if (!held) return html`<${Failure} error=${error} />`;
  const { game, etag } = held;
  const save = async (mine, match) => {
    setSaved(false);
    setError(null);
    if (id === 'new') {
      const created = await api.postOnce('/jogos', mine);
      location.hash = `#/admin/game/${created.id}`;
      return;
    }
    try {
      const response = await api.request('PUT', `/jogos/${id}`, { body: mine, headers: { 'If-Match': match } });
      setHeld({ game: await response.json(), etag: response.headers.get('ETag') });
      setConflict(null);
      setSaved(true);
    } catch (problem) {
      if (problem.status !== 412) throw problem;
      setSaved(false);
      setConflict({ mine, theirs: await fetchGame() });
    }
  };
  const retire = async () => { await api.del(`/jogos/${id}`, { 'If-Match': etag }); location.hash = '#/admin'; };
  const takeTheirs = () => { setHeld(conflict.theirs); setConflict(null); };
  const shown = conflict ? { ...conflict.mine, id } : game;
  const text = (name, label, more = {}) => html`<${Field} name=${name} label=${t(label)} value=${Array.isArray(shown[name]) ? shown[name].join(', ') : shown[name] || ''} ...${more} />`;
  return html`${!conflict && html`<${Failure} error=${error} />`}
    <section class="panel" key=${`${etag} ${conflict ? 1 : 0}`}><${Form} submit=${(fields) => save(asGame(fields, game.price.currency), etag)} label=${t('Save')}>
      ${text('title', 'Title', { required: true, maxlength: 120 })}
      <${Field} name="description" label=${t('Description')}><textarea id="f-description" name="description" rows="4">${shown.description}</textarea><//>
      ${text('developer', 'Developer')}${text('publisher', 'Publisher')}${text('genres', 'Genres (separated by commas)')}${text('tags', 'Tags (separated by commas)')}${text('platforms', 'Platforms (separated by commas)')}
      ${text('release_date', 'Release date', { type: 'date' })}
      <${Field} name="age_rating" label=${t('Age rating')}><select id="f-age_rating" name="age_rating">${[0, 10, 12, 14, 16, 18].map((years) => html`<option value=${years} selected=${years === shown.age_rating}>${years}</option>`)}</select><//>
      <${Field} name="price" label=${t('Price')} type="number" min="0" step=${step(game.price.currency)} required value=${typed(shown.list_price || shown.price)} /><//>
      <div ref=${news}>${saved && html`<p class="note ok" role="status">${t('Saved.')}</p>`}
      ${conflict && html`<div class="note warn" role="alert" id="conflict"><strong>${t('Somebody else changed this game meanwhile')}</strong>
        <${Differences} mine=${conflict.mine} theirs=${conflict.theirs.game} />
        <p class="row"><button class="button small" onClick=${() => save(conflict.mine, conflict.theirs.etag).catch(setError)}>${t('Keep mine')}</button>
        <button class="button quiet small" onClick=${takeTheirs}>${t('Take theirs')}</button></p><${Failure} error=${error} /></div>`}</div>
      ${id !== 'new' && !game.retired && html`<div class="row"><${Sure} label=${t('Retire')} question=${t('The game is no longer sold. Its owners keep it. This cannot be undone.')} act=${retire} /></div>`}</section>
    ${id !== 'new' && html`<${Promotions} id=${id} currency=${game.price.currency} changed=${() => fetchGame().then(setHeld)} />`}`;
}

function Promotions({ id, currency, changed }) {
  const [promotions, error, reload] = useLoaded(() => api.get(`/jogos/${id}/promocoes`), id);
  const again = () => { reload(); changed(); };
  const schedule = async ({ percent, amount, starts_at, ends_at }) => {
    const discount = amount ? { price: typedMoney(amount, currency) } : { percent: Number(percent) };
    await api.post(`/jogos/${id}/promocoes`, { ...discount, starts_at: new Date(starts_at).toISOString(), ends_at: new Date(ends_at).toISOString() });
    again();
  };
  const cancel = (number) => async () => { await api.del(`/jogos/${id}/promocoes/${number}`); again(); };
  return html`<section class="panel"><h2>${t('Promotions')}</h2><${Failure} error=${error} />
    <ul class="lines">${(promotions?.items || []).map((promotion) => html`<li key=${promotion.number}><strong>${promotion.price ? money(promotion.price) : `−${promotion.percent} %`}</strong><span class="grow">${moment(promotion.starts_at)} – ${moment(promotion.ends_at)}</span><${Sure} label=${t('Cancel')} question=${t('The promotion is cancelled.')} act=${cancel(promotion.number)} /></li>`)}</ul>
    <${Form} submit=${schedule} label=${t('Schedule')}><div class="two"><${Field} name="percent" label=${t('Percent off')} type="number" min="1" max="100" /><${Field} name="amount" label=${t('or a price')} type="number" min="0" step=${step(currency)} />
      <${Field} name="starts_at" label=${t('From')} type="datetime-local" required /><${Field} name="ends_at" label=${t('Until')} type="datetime-local" required /></div><//></section>`;
}

function Orders() {
  const [orders, error, more, again] = usePages('/pedidos?limit=50');
  return html`<${Failure} error=${error} again=${again} /><div class="table"><table><thead><tr><th scope="col">${t('Created')}</th><th scope="col">${t('Games')}</th><th scope="col">${t('Status')}</th><th scope="col" class="num">${t('Total')}</th><th scope="col">${t('Payment')}</th></tr></thead>
    <tbody>${(orders || []).map((order) => html`<tr key=${order.id}><td>${moment(order.created_at)}</td><td><a href="#/order/${order.id}">${order.games.map((game) => game.title).join(', ')}</a></td><td>${t(order.status)}</td><td class="num">${money(order.total)}</td>
      <td>${order.payment_id && html`<a href="#/admin/events/${order.payment_id}">${order.payment_id.slice(-8)}</a>`}</td></tr>`)}</tbody></table></div>
    ${more && html`<p><button class="button quiet" onClick=${more}>${t('Show more')}</button></p>`}`;
}

function DeadLetters() {
  const [letters, error, reload] = useLoaded(() => api.all('/dlq'), 'dlq');
  const [discarding, setDiscarding] = useState(null);
  const [done, setDone] = useState(null);
  const [problem, setProblem] = useState(null);
  const redrive = async (letter) => {
    try { await api.post(`/dlq/${letter.sequence}/redrive`); setProblem(null); setDone(t('Back in the queue.')); reload(); } catch (wrong) { setProblem(wrong); }
  };
  const discard = async ({ reason }) => { await api.post(`/dlq/${discarding.sequence}/discard`, { reason }); closeDialog(); reload(); };
  return html`<${Failure} error=${error || problem} />${done && html`<p class="note ok" role="status">${done}</p>`}
    ${letters?.length === 0 && html`<p>${t('There are no dead letters.')}</p>`}
    ${letters?.length > 0 && html`<div class="table"><table><thead><tr><th scope="col">${t('Class')}</th><th scope="col">${t('Cause')}</th><th scope="col" class="num">${t('Attempts')}</th><th scope="col">${t('Failed at')}</th><th scope="col">${t('Order')}</th><th scope="col"><span class="hidden">${t('Redrive')}</span></th></tr></thead>
      <tbody>${letters.map((letter) => html`<tr key=${letter.sequence}><td><span class="tag">${t(letter.class)}</span></td><td class="cause">${letter.cause}</td><td class="num">${letter.attempts}</td><td>${moment(letter.failed_at)}</td><td>${letter.order_id && html`<a href="#/order/${letter.order_id}">${letter.order_id.slice(-8)}</a>`}</td>
        <td class="row"><button class="button small" onClick=${() => redrive(letter)}>${t('Redrive')}</button><button class="button danger small" onClick=${() => setDiscarding(letter)}>${t('Discard')}</button></td></tr>`)}</tbody></table></div>`}
    ${discarding && html`<${Dialog} title=${t('Discard')} close=${() => setDiscarding(null)}><${Form} submit=${discard} label=${t('Discard')} danger><${Field} name="reason" label=${t('Reason')} required maxlength="200" /><//><//>`}`;
}

function Disputes() {
  const [disputes, error] = useLoaded(() => api.all('/disputas'), 'disputes');
  return html`<${Failure} error=${error} />${disputes?.length === 0 && html`<p>${t('No payment is disputed.')}</p>`}
    ${disputes?.length > 0 && html`<div class="table"><table><thead><tr><th scope="col">${t('Since')}</th><th scope="col">${t('Reason')}</th><th scope="col">${t('Status')}</th><th scope="col" class="num">${t('Amount')}</th><th scope="col">${t('Order')}</th><th scope="col">${t('Payment')}</th></tr></thead>
      <tbody>${disputes.map((dispute) => html`<tr key=${dispute.id}><td>${moment(dispute.opened_at)}</td><td>${dispute.reason}</td><td><span class="tag">${t(dispute.status)}</span></td><td class="num">${money(dispute.amount)}</td><td><a href="#/order/${dispute.order_id}">${dispute.order_id.slice(-8)}</a></td>
        <td><a href="#/admin/events/${dispute.payment_id}">${dispute.payment_id.slice(-8)}</a></td></tr>`)}</tbody></table></div>`}`;
}

function Events({ id }) {
  const [events, setEvents] = useState([]);
  const [error, setError] = useState(null);
  const [asked, setAsked] = useState({ id: id || '', aggregate: '', type: '', follow: !id });
  const [chosen, setChosen] = useState(null);
  useEffect(() => {
    const leaving = new AbortController();
    setEvents([]);
    setError(null);
    const filters = Object.entries({ aggregate: asked.aggregate, id: asked.id, type: asked.type }).filter(([, value]) => value).map(([name, value]) => `&${name}=${encodeURIComponent(value)}`).join('');
    const watch = async () => {
      const { headers } = await api.request('GET', `/eventos?from=${Number.MAX_SAFE_INTEGER}`);
      const last = Number(headers.get('Last-Position'));
      // The history of one aggregate has no places in the stream.
      const place = asked.id ? '' : `&from=${Math.max(1, last - 99)}&follow=${asked.follow}`;
      await api.lines(`/eventos?${place}${filters}`, (event) => setEvents((held) => [event, ...held].slice(0, 500)), leaving.signal);
    };
    watch().catch((problem) => problem.name !== 'AbortError' && setError(problem));
    return () => leaving.abort();
  }, [asked]);
  const ask = async ({ aggregate, type, id, follow }) => setAsked({ aggregate, type: type.trim(), id: id.trim(), follow: follow === 'on' });
  return html`<div class="panel"><${Form} submit=${ask} label=${t('Search')}><div class="two">
      <${Field} name="aggregate" label=${t('Aggregate')}><select id="f-aggregate" name="aggregate">${['', 'user', 'game', 'order', 'payment'].map((name) => html`<option value=${name} selected=${name === asked.aggregate}>${name || t('any')}</option>`)}</select><//>
      <${Field} name="type" label=${t('Type')} value=${asked.type} /><${Field} name="id" label=${t('Id')} value=${asked.id} /></div>
      <label class="check"><input type="checkbox" name="follow" defaultChecked=${asked.follow} />${t('Follow')}</label><//></div>
    <${Failure} error=${error} />${events.length === 0 && html`<p class="soft">${asked.follow ? t('Waiting for events') : t('No events match.')}</p>`}
    <ol class="stream" tabindex="0" aria-label=${t('Events')}>${events.map((event) => html`<li key=${event.id}><button class="button quiet small" onClick=${() => setChosen(event)}>${event.position ?? event.aggregateversion}</button> ${event.type} <a href="#/admin/events/${event.aggregateid}">${event.aggregate} ${event.aggregateid.slice(-8)}</a> <span class="soft">${moment(event.time)}</span></li>`)}</ol>
    ${chosen && html`<${Dialog} title=${chosen.type} close=${() => setChosen(null)}><pre class="code" tabindex="0">${JSON.stringify(chosen, null, 2)}</pre><//>`}`;
}

const POINTS = 60;

function Health() {
  const [figures, setFigures] = useState(null);
  const [error, setError] = useState(null);
  const past = useRef({});
  useEffect(() => {
    const look = () => api.get('/health/figures').then((now) => {
      const all = { relay_behind: now.relay_behind, index_behind: now.index_behind, payments_waiting: now.payments_waiting, dead_letters: now.dead_letters, webhooks_waiting: now.webhooks_waiting, parked: now.parked };
      Object.entries(now.projections_behind).forEach(([name, behind]) => { all[`${name} behind`] = behind; });
      Object.entries(all).forEach(([name, value]) => { past.current[name] = [...(past.current[name] || []), value].slice(-POINTS); });
      setFigures(now);
      setError(null);
    }, setError);
    look();
    const every = setInterval(look, 2000);
    return () => clearInterval(every);
  }, []);
  const names = { relay_behind: t('Relay behind'), index_behind: t('Index behind'), payments_waiting: t('Payments waiting'), dead_letters: t('Dead letters'), webhooks_waiting: t('Webhooks waiting'), parked: t('Parked events') };
  return html`<${Failure} error=${error} />${figures && html`<p>${t('Events in the journal')}: <strong>${number(figures.events)}</strong> <span class="soft">(${t('last two minutes')})</span></p>
    <div class="charts">${Object.entries(past.current).map(([name, values]) => html`<div class="chart" key=${name}><span class="soft">${names[name] || t('{name} behind', { name: name.replace(' behind', '') })}</span><strong>${number(values[values.length - 1])}</strong><${Line} values=${values} /></div>`)}</div>`}`;
}

function Line({ values }) {
  const most = Math.max(1, ...values);
  const points = values.map((value, n) => `${(n + POINTS - values.length) * (240 / (POINTS - 1))},${43 - (value / most) * 40}`).join(' ');
  return html`<svg viewBox="0 0 240 46" preserveAspectRatio="none" aria-hidden="true"><polyline points=${points} fill="none" stroke="currentColor" stroke-width="2" vector-effect="non-scaling-stroke" /></svg>`;
}
