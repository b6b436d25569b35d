// What many pages show: prices, cards, forms, dialogs, and what went wrong; the session and its basket.

import { html, useEffect, useRef, useState } from './vendor/preact.js';
import * as api from './api.js';
import { Cover } from './cover.js';
import { currencyOf, money, t } from './i18n.js';
import { keep, recall } from './store.js';

export { Cover };

function storedBasket() {
  try { return JSON.parse(recall('basket') || '[]').filter((id) => typeof id === 'string'); } catch { return []; }
}

/** What the whole page knows; `change` shows it anew. `settled` once it is known who is here; `unknown` says why it is
    not. */
export const state = { user: null, settled: !api.signedIn(), unknown: null, owned: new Set(), toasts: [], basket: storedBasket() };
let show = () => {};
export const onChange = (render) => { show = render; };
export function change(news) {
  Object.assign(state, news);
  if ('basket' in news) keep('basket', JSON.stringify(state.basket));
  show();
}

// What another tab does is done here as well.
addEventListener('storage', (event) => {
  // Without a key everything was cleared.
  if (event.key === 'basket' || event.key === null) { state.basket = storedBasket(); show(); }
  if (event.key === api.SESSION || event.key === null) { if (event.newValue) loadUser(); else forgetUser(); }
});

export const dismiss = (entry) => change({ toasts: state.toasts.filter((other) => other !== entry) });
export function toast(text, href) {
  const entry = { text, href };
  change({ toasts: [...state.toasts, entry].slice(-3) });
  setTimeout(() => dismiss(entry), 8000);
}

export async function loadUser() {
  if (!api.signedIn()) return;
  try {
    change({ user: await api.get('/users/me'), settled: true, unknown: null });
    await loadOwned();
  } catch (problem) { if (problem.status === 401) forgetUser(); else change({ unknown: problem }); }
}
export const forgetUser = () => change({ user: null, settled: true, unknown: null, owned: new Set() });
/** Ends the session, and shows the shop to whoever comes next. */
export async function leave() {
  await api.del('/login/session');
  api.remember(false);
  location.hash = '#/';
  forgetUser();
  change({ basket: [] });
}
api.whenEnded(() => { forgetUser(); toast(said({ code: 'ended' })); });
export async function loadOwned() {
  const shelf = await api.all('/biblioteca');
  change({ owned: new Set(shelf.map((entry) => entry.game.id)) });
}

export const Age = ({ years }) => html`<span class="age age-${years}" title=${t('Age rating')}>${years === 0 ? t('L') : years}<span class="hidden"> ${years === 0 ? t('for all ages') : t('years and older')}</span></span>`;
export const Price = ({ value, before }) => html`<span class="price">${before && before.amount > value.amount && html`<del><span class="hidden">${t('before')} </span>${money(before)}</del> `}${value.amount === 0 ? t('Free') : money(value)}</span>`;

export const GameCard = ({ game }) => html`<li class="game"><${Cover} game=${game} /><div>
  <a href="#/game/${game.id}"><${Marked} text=${game.highlight} plain=${game.title} /></a>
  <span class="genre">${(game.genres.length ? game.genres : game.tags).slice(0, 2).join(' · ') || ' '}</span>
  <span class="foot">${state.owned.has(game.id) ? html`<span class="tag">${t('In your library')}</span>` : html`<${Price} value=${game.price} before=${game.list_price} />`}<${Age} years=${game.age_rating} /></span></div></li>`;

export const Cards = ({ games, wait = 6 }) => html`<ul class="grid">${games
  ? games.map((game) => html`<${GameCard} key=${game.id} game=${game} />`)
  : Array.from({ length: wait }, (_, n) => html`<li key=${n} class="waiting" aria-hidden="true"></li>`)}</ul>`;

/** A title in which the gateway marked what matched: text with <mark> and entities, nothing else. */
function Marked({ text, plain }) {
  if (!text || !text.includes('<mark>')) return plain;
  const unescape = (part) => part.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&#x27;/g, "'").replace(/&amp;/g, '&');
  return text.split(/<mark>|<\/mark>/).map((part, n) => (n % 2 ? html`<mark>${unescape(part)}</mark>` : unescape(part)));
}

/** Text as searches within the page compare it. */
export const fold = (words) => words.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

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
    // Somebody who is typing a search must keep the focus.
    if (document.activeElement?.id !== 'q') heading.current.focus({ preventScroll: true });
  });
  return html`<h1 tabindex="-1" ref=${heading}>${children}</h1>`;
}

/** What the page has to say for itself; the rest the gateway says. */
const OWN = {
  offline: t('The shop cannot be reached. Check your connection.'),
  error: t('Something went wrong. Try again in a moment.'),
  ended: t('Your session has ended. Please log in again.'),
};
/** A problem in the visitor's language. What has no code is our own message, translated already. */
export const said = ({ code, title, message, rule }) => (code ? OWN[code] || (code === 'invalid_field' && rule) || title || OWN.error : message);
/** What went wrong, with a way to try again where there is one. */
export const Failure = ({ error, again }) => (error ? html`<p class="note error" role="alert">${said(error)} ${again && html`<button class="button quiet small" onClick=${again}>${t('Try again')}</button>`}</p>` : null);

/** Loads something when `key` changes: `[value, error, reload]`. What was loaded stays until there is something new. */
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

/** The pages of a list so far: `[items, error, more, again]`; `more` is missing at the end. */
export function usePages(path) {
  const [pages, setPages] = useState([]);
  const [error, setError] = useState(null);
  const [turn, setTurn] = useState(0);
  const load = (held, cursor) => api.get(`${path}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`).then((page) => { setPages([...held, page]); setError(null); }, setError);
  useEffect(() => { load([]); }, [path, turn]);
  const next = pages.at(-1)?.next;
  const items = pages.length ? pages.flatMap((page) => page.items) : undefined;
  return [items, error, next ? () => load(pages, next) : null, () => setTurn(turn + 1)];
}

/** A form that says what went wrong, beside the field where it is one, and cannot be sent twice. `submit` gets its
    fields as an object; what `done` says stands beside the button once it went well. */
export function Form({ submit, children, label, danger, done }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [sent, setSent] = useState(false);
  const form = useRef(null);
  const fieldOf = (name) => form.current?.elements.namedItem(name?.split('.')[0] ?? '');
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    setSent(false);
    try { await submit(Object.fromEntries(new FormData(event.target)), event.target); setSent(true); } catch (problem) { setError(problem); }
    setBusy(false);
  };
  useEffect(() => {
    const field = error?.field && fieldOf(error.field);
    if (!field?.setAttribute) return undefined;
    const before = field.getAttribute('aria-describedby');
    field.setAttribute('aria-invalid', 'true');
    field.setAttribute('aria-describedby', [before, `${form.current.id}-error`].filter(Boolean).join(' '));
    field.focus();
    return () => { field.removeAttribute('aria-invalid'); if (before) field.setAttribute('aria-describedby', before); else field.removeAttribute('aria-describedby'); };
  }, [error]);
  const id = useRef(`form-${formCount += 1}`).current;
  const labelOf = error?.field && fieldOf(error.field)?.labels?.[0]?.textContent;
  return html`<form class="fields" id=${id} ref=${form} onSubmit=${send}>${children}
    ${error && html`<p class="note error" role="alert" id="${id}-error">${labelOf && html`<strong>${labelOf}</strong>: `}${said(error)}</p>`}
    <div class="row"><button class="button ${danger ? 'danger' : ''}" disabled=${busy}>${label}</button>${sent && done && html`<span class="good" role="status">${done}</span>`}</div></form>`;
}
let formCount = 0;

// What is stored is only where a field begins: a redraw must not take away what is being typed.
// `id` where a page has two fields of a name.
export const Field = ({ name, id = name, label, hint, value, children, ...input }) => html`<div>
  <label for="f-${id}">${label}</label>${children || html`<input id="f-${id}" name=${name} defaultValue=${value} aria-describedby=${hint ? `h-${id}` : undefined} ...${input} />`}${hint && html`<small id="h-${id}">${hint}</small>`}</div>`;

/** A dialog that is open as long as it is shown. The focus begins at the way out, or at the first field, and returns to
    where it was: only a dialog that closes by itself gives it back. */
export const closeDialog = () => document.querySelector('dialog[open]')?.close();
export function Dialog({ title, close, children }) {
  const open = (node) => {
    if (!node || node.open) return;
    node.showModal();
    (node.querySelector('input, textarea, select') || node.querySelector('.close')).focus();
  };
  return html`<dialog ref=${open} onClose=${close} aria-label=${title}><h2>${title}</h2>${children}
    <p><button class="button quiet close" onClick=${closeDialog}>${t('Close')}</button></p></dialog>`;
}

/** A button that asks before it does something that cannot be undone; `short` is what it says where `label` is long. */
export function Sure({ label, short, question, act, children }) {
  const [asking, setAsking] = useState(false);
  const close = () => setAsking(false);
  return html`<button type="button" class="button danger ${short ? 'small' : ''}" aria-label=${short && label} onClick=${() => setAsking(true)}>${short || label}</button>
    ${asking && html`<${Dialog} title=${label} close=${close}><p>${question}</p><${Form} submit=${async (fields) => { await act(fields); closeDialog(); }} label=${label} danger>${children}<//><//>`}`;
}

/** How somebody pays: `readMethod` makes of the form's fields what the API wants. Nothing is asked where it is free. */
export const PayFields = ({ total }) => (total === 0 ? html`<input type="hidden" name="method" value="pix" />` : html`<fieldset><legend>${t('How do you want to pay?')}</legend>
  <label class="check"><input type="radio" name="method" value="card" defaultChecked />${t('Card')}</label>
  <label class="check"><input type="radio" name="method" value="pix" />Pix</label></fieldset>
  <div class="token"><${Field} name="token" label=${t('Card')} hint=${t('The sandbox moves no money: choose the answer of the bank.')}>
    <select id="f-token" name="token" aria-describedby="h-token"><option value="pm_card_visa">${t('Visa that is accepted')}</option>
    <option value="pm_card_chargeCustomerFail">${t('Card that is declined')}</option>
    <option value="pm_card_flaky">${t('Bank that fails twice')}</option></select><//></div>`);
export const readMethod = ({ method, token }) => (method === 'pix' ? { type: 'pix' } : { type: 'card', token });

/** An amount that was typed, in the store's currency: `19.90` is 1990 minor units of BRL, and 20 is 20 of JPY. */
export const typedMoney = (text, currency = currencyOf.store) => ({ amount: Math.round(Number(text) * currencyOf.factor(currency)), currency });
