// What many pages show: covers, prices, cards, forms, the session and its basket.

import { html, useEffect, useRef, useState } from './vendor/preact.js';
import * as api from './api.js';
import { money, t } from './i18n.js';

function storedBasket() {
  try { return JSON.parse(localStorage.getItem('basket') || '[]').filter((id) => typeof id === 'string'); } catch { return []; }
}
addEventListener('storage', (event) => { if (event.key === 'basket') { state.basket = storedBasket(); show(); } });

/** What the whole page knows; `change` shows it anew. */
export const state = { user: null, owned: new Set(), toasts: [], basket: storedBasket() };
let show = () => {};
export const onChange = (render) => { show = render; };
export function change(news) {
  Object.assign(state, news);
  localStorage.setItem('basket', JSON.stringify(state.basket));
  show();
}

export function toast(text, href) {
  const entry = { text, href };
  change({ toasts: [...state.toasts, entry] });
  setTimeout(() => change({ toasts: state.toasts.filter((other) => other !== entry) }), 6000);
}

export async function loadUser() {
  if (!api.signedIn()) return;
  try {
    change({ user: await api.get('/users/me') });
    await loadOwned();
  } catch (problem) { if (problem.status === 401) change({ user: null }); else toast(problem.message); }
}
api.whenEnded(() => change({ user: null, owned: new Set() }));
export async function loadOwned() {
  const shelf = await api.all('/biblioteca');
  change({ owned: new Set(shelf.map((entry) => entry.game.id)) });
}

// A small hash and generator, so that the same game always has the same cover.
function* dice(seed) {
  let h = 2166136261;
  for (const c of seed) h = Math.imul(h ^ c.codePointAt(0), 16777619) >>> 0;
  for (;;) {
    h = Math.imul(h ^ (h >>> 15), 2246822519) >>> 0;
    h = (h ^ (h << 13)) >>> 0;
    h = (h ^ (h >>> 17)) >>> 0;
    yield h / 4294967296;
  }
}

/** A cover that is drawn from the game's id and title. */
export function Cover({ game }) {
  const roll = dice(game.id + game.title);
  const next = (n) => Math.floor(roll.next().value * n);
  const hue = next(360);
  const color = (shift, light) => `hsl(${(hue + shift) % 360} 62% ${light}%)`;
  const shapes = Array.from({ length: 5 }, (_, n) => {
    const [x, y, size, fill, kind] = [next(400), next(300), 50 + next(110), color(40 + next(90), 38 + next(25)), next(3)];
    if (kind === 0) return html`<circle key=${n} cx=${x} cy=${y} r=${size} fill=${fill} opacity=".55" />`;
    if (kind === 1) return html`<rect key=${n} x=${x - size} y=${y - size / 2} width=${size * 2} height=${size} fill=${fill} opacity=".5" transform="rotate(${next(180)} ${x} ${y})" />`;
    return html`<path key=${n} d="M${x} ${y - size}L${x + size} ${y + size}H${x - size}z" fill=${fill} opacity=".5" />`;
  });
  const initials = game.title.replace(/[^\p{L}\p{N} ]/gu, '').split(' ').filter(Boolean).slice(0, 2).map((word) => [...word][0].toUpperCase()).join('');
  return html`<svg class="cover" viewBox="0 0 400 300" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
    <rect width="400" height="300" fill=${color(0, 24)} />${shapes}
    <text x="200" y="190" text-anchor="middle" font-size="110" font-weight="800" font-family="system-ui" fill="#fff" opacity=".92">${initials}</text></svg>`;
}

export const Age = ({ years }) => html`<span class="age age-${years}" title=${t('Age rating')}>${years === 0 ? t('L') : years}<span class="hidden"> ${years === 0 ? t('for all ages') : t('years and older')}</span></span>`;
export const Price = ({ value, before }) => html`<span class="price">${before && before.amount > value.amount && html`<del><span class="hidden">${t('before')} </span>${money(before)}</del> `}${value.amount === 0 ? t('Free') : money(value)}</span>`;

export const GameCard = ({ game }) => html`<li class="game"><${Cover} game=${game} /><div>
  <a href="#/game/${game.id}"><${Marked} text=${game.highlight} plain=${game.title} /></a>
  <span class="genre">${(game.genres.length ? game.genres : game.tags).slice(0, 2).join(' · ') || ' '}</span>
  <span class="foot">${game.owned || state.owned.has(game.id) ? html`<span class="tag">${t('In your library')}</span>` : html`<${Price} value=${game.price} before=${game.list_price} />`}<${Age} years=${game.age_rating} /></span></div></li>`;

export const Cards = ({ games, wait = 6 }) => html`<ul class="grid">${games
  ? games.map((game) => html`<${GameCard} key=${game.id} game=${game} />`)
  : Array.from({ length: wait }, (_, n) => html`<li key=${n} class="waiting" aria-hidden="true"></li>`)}</ul>`;

/** A title in which the gateway marked what matched: text with <mark> and entities, nothing else. */
function Marked({ text, plain }) {
  if (!text || !text.includes('<mark>')) return plain;
  const unescape = (part) => part.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&#x27;/g, "'").replace(/&amp;/g, '&');
  return text.split(/<mark>|<\/mark>/).map((part, n) => (n % 2 ? html`<mark>${unescape(part)}</mark>` : unescape(part)));
}

let titled = location.hash.split('?')[0];
/** A page's heading, which also names the window. A new page begins there, for those who listen. */
export function Title({ children }) {
  const heading = useRef(null);
  useEffect(() => {
    const text = heading.current.textContent;
    document.title = text ? `${text} · Ludoteca` : 'Ludoteca';
    const place = location.hash.split('?')[0];
    if (titled === place) return;
    titled = place;
    // Who types a search goes on typing.
    if (document.activeElement?.id !== 'q') heading.current.focus({ preventScroll: true });
  });
  return html`<h1 tabindex="-1" ref=${heading}>${children}</h1>`;
}

const said = ({ code, message }) => { const own = t(`problem ${code}`); return own.startsWith('problem ') ? message : own; };
export const Failure = ({ error }) => (error ? html`<p class="note error" role="alert">${said(error)}</p>` : null);

/** Loads something when `key` changes: `[value, error, reload]`. */
export function useLoaded(load, key) {
  const [held, hold] = useState({});
  const [again, setAgain] = useState(0);
  useEffect(() => {
    let current = true;
    load().then((value) => current && hold({ key, value }), (error) => current && hold({ key, error }));
    return () => { current = false; };
  }, [key, again]);
  return [held.key === key ? held.value : undefined, held.key === key ? held.error : undefined, () => setAgain((n) => n + 1)];
}

/** A form that says what went wrong and cannot be sent twice. `submit` gets its fields as an object. */
export function Form({ submit, children, label, danger }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try { await submit(Object.fromEntries(new FormData(event.target)), event.target); } catch (problem) { setError(problem); }
    setBusy(false);
  };
  return html`<form class="fields" onSubmit=${send}>${children}<${Failure} error=${error} />
    <div><button class="button ${danger ? 'danger' : ''}" disabled=${busy}>${label}</button></div></form>`;
}

// What is stored is only where a field begins: a redraw must not take away what is being typed.
export const Field = ({ name, label, hint, value, children, ...input }) => html`<div>
  <label for="f-${name}">${label}</label>${children || html`<input id="f-${name}" name=${name} defaultValue=${value} ...${input} />`}${hint && html`<small>${hint}</small>`}</div>`;

/** A dialog that is open as long as it is shown. */
export function Dialog({ title, close, children }) {
  const open = (node) => { if (node && !node.open) node.showModal(); };
  return html`<dialog ref=${open} onClose=${close} aria-label=${title}><h2>${title}</h2>${children}
    <p><button class="button quiet" onClick=${close}>${t('Close')}</button></p></dialog>`;
}

/** How somebody pays: `readMethod` makes of the form's fields what the API wants. */
export const PayFields = () => html`<fieldset><legend>${t('How do you want to pay?')}</legend>
  <label class="check"><input type="radio" name="method" value="card" defaultChecked />${t('Card')}</label>
  <label class="check"><input type="radio" name="method" value="pix" />Pix</label></fieldset>
  <div class="token"><${Field} name="token" label=${t('Card')} hint=${t('The sandbox moves no money: choose how the bank is to answer.')}>
    <select id="f-token" name="token"><option value="pm_card_visa">${t('Visa that is accepted')}</option>
    <option value="pm_card_chargeCustomerFail">${t('Card that is declined')}</option>
    <option value="pm_card_flaky">${t('Bank that fails twice')}</option></select><//></div>`;
export const readMethod = ({ method, token }) => (method === 'pix' ? { type: 'pix' } : { type: 'card', token });
