// The shell: the bar at the top, which page is shown, and what is told about one's orders.

import { Component, html, render, useEffect, useLayoutEffect, useState } from './vendor/preact.js';
import * as api from './api.js';
import { language, switchLanguage, t } from './i18n.js';
import { dismiss, Failure, leave, loadOwned, loadUser, onChange, said, state, toast, Title } from './ui.js';
import { Game, Home, Search } from './pages/catalogue.js';

/** A page that is fetched when it is first shown. */
const later = (file, name) => (props) => {
  const [Page, setPage] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => { import(file).then((module) => setPage(() => module[name]), () => setError({ code: 'offline' })); }, []);
  if (Page) return html`<${Page} ...${props} />`;
  // A module that failed once fails for ever in this page; the shop may have a new version.
  return error ? html`<${Title}>Ludoteca<//><${Failure} error=${error} again=${() => location.reload()} />` : html`<${Title}>…<//>`;
};

const PAGES = {
  '': Home, search: Search, game: Game,
  register: later('./pages/login.js', 'Register'), login: later('./pages/login.js', 'Login'), forgotten: later('./pages/login.js', 'Forgotten'), reset: later('./pages/login.js', 'Reset'), confirm: later('./pages/login.js', 'Confirm'),
  account: later('./pages/account.js', 'Account'),
  basket: later('./pages/buying.js', 'Basket'), order: later('./pages/buying.js', 'Order'), orders: later('./pages/buying.js', 'Orders'), library: later('./pages/buying.js', 'Library'),
  admin: later('./pages/admin.js', 'Admin'),
};
/** Pages of somebody who has logged in. */
const PRIVATE = ['account', 'order', 'orders', 'library', 'admin'];

function place() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [page, ...rest] = path.split('/');
  return { page: location.pathname === '/' ? page : null, rest, query: new URLSearchParams(query), key: path };
}

function pageOf(at) {
  if (PRIVATE.includes(at.page) && !state.user) {
    if (state.unknown) return Unknown;
    return state.settled ? ToLogin : Waiting;
  }
  return Object.hasOwn(PAGES, at.page) ? PAGES[at.page] : Missing;
}

const Waiting = () => html`<${Title}>…<//><div class="waiting"></div>`;
const Missing = () => html`<${Title}>${t('There is no such page')}<//><p><a href="${SHOP}#/">${t('Go to the shop')}</a></p>`;
const Unknown = () => html`<${Title}>…<//><${Failure} error=${state.unknown} again=${loadUser} />`;
/** To the login, and back here afterwards. */
function ToLogin() {
  useEffect(() => { location.replace(`#/login?next=${encodeURIComponent(location.hash)}`); }, []);
  return html`<${Waiting} />`;
}

/** What is shown where a page breaks, instead of nothing. */
class Guard extends Component {
  static getDerivedStateFromError = () => ({ broken: true });

  componentDidCatch(error) { console.error(error); this.setState({ broken: true }); }

  render({ children }, { broken }) {
    return broken ? html`<${Title}>Ludoteca<//><${Failure} error=${{ code: 'error' }} again=${() => location.reload()} />` : children;
  }
}

// Beside the shop's one page there is only the one that says that a page is missing; its links lead back.
const SHOP = location.pathname === '/' ? '' : '/';

function Link({ to, at, children }) {
  return html`<a href="${SHOP}#/${to}" aria-current=${at === to ? 'page' : undefined}>${children}</a>`;
}

function Top({ at }) {
  const { user, basket } = state;
  const search = (event) => {
    const q = event.target.value;
    const query = new URLSearchParams(place().page === 'search' ? place().query : '');
    if (q) query.set('q', q); else query.delete('q');
    const next = `${SHOP}#/search?${query}`;
    if (SHOP) { location.assign(next); return; }
    if (place().page === 'search') history.replaceState(null, '', next); else history.pushState(null, '', next);
    dispatchEvent(new HashChangeEvent('hashchange'));
  };
  return html`<header class="top"><div>
    <a class="brand" href="${SHOP}#/"><img src="/loja/icon.svg" alt="" width="30" height="30" />Ludoteca</a>
    <form role="search" onSubmit=${(event) => event.preventDefault()}><label class="hidden" for="q">${t('Search games')}</label>
      <input id="q" type="search" placeholder=${t('Search games')} autocomplete="off" value=${at.page === 'search' ? at.query.get('q') || '' : ''} onInput=${search} /></form>
    <nav aria-label=${t('Main')}>
      ${user && html`<${Link} to="library" at=${at.page}>${t('Library')}<//><${Link} to="orders" at=${at.page}>${t('Orders')}<//>`}
      <${Link} to="basket" at=${at.page}>${t('Basket')}${basket.length > 0 && html`<span class="count">${basket.length}</span>`}<//>
      ${user?.role === 'admin' && html`<${Link} to="admin" at=${at.page}>${t('Admin')}<//>`}
      ${user ? html`<${Link} to="account" at=${at.page}>${t('Account')}<//><button id="leave" onClick=${() => leave().catch((problem) => toast(said(problem)))}>${t('Log out')}</button>` : html`<${Link} to="login" at=${at.page}>${t('Log in')}<//><${Link} to="register" at=${at.page}>${t('Register')}<//>`}
      <button lang=${language === 'pt' ? 'en' : 'pt-BR'} onClick=${switchLanguage}>${language === 'pt' ? 'English' : 'Português'}</button>
    </nav></div></header>`;
}

// Where each entry of the history was scrolled to. The browser restores it before there is anything to scroll.
history.scrollRestoration = 'manual';
let noting;
addEventListener('scroll', () => {
  clearTimeout(noting);
  noting = setTimeout(() => history.replaceState({ ...history.state, y: scrollY }, ''), 100);
}, { passive: true });
/** Scrolls there as soon as the page is long enough; a moment is enough for what is cached. */
function scrollBack(y, until = performance.now() + 1500) {
  if (document.documentElement.scrollHeight - innerHeight >= y) scrollTo(0, y);
  else if (performance.now() < until) requestAnimationFrame(() => scrollBack(y, until));
}

const TOLD = { OrderCompleted: 'Your order is complete', OrderPaymentFailed: 'A payment failed', OrderRefunded: 'Your money is on its way back' };

function App() {
  const [at, setAt] = useState(place());
  const [, render] = useState(0);
  onChange(() => render((n) => n + 1));
  useEffect(() => {
    let before = place().page + place().key, y = 0;
    const back = (event) => { y = event.state?.y ?? 0; };
    const go = () => {
      const next = place();
      clearTimeout(noting);
      setAt(next);
      if (before !== next.page + next.key) scrollBack(y);
      before = next.page + next.key;
      y = 0;
    };
    addEventListener('popstate', back);
    addEventListener('hashchange', go);
    loadUser();
    return () => { removeEventListener('popstate', back); removeEventListener('hashchange', go); };
  }, []);
  useLayoutEffect(() => { document.documentElement.dataset.page = at.page ?? ''; }, [at.page]);
  const userId = state.user?.id;
  useEffect(() => userId && api.notices('/notificacoes', (notice) => {
    // The order's own page says it itself.
    const shown = place().page === 'order' && place().rest[0] === notice.order_id;
    if (notice.type !== 'OrderCreated') loadOwned().catch(() => {});
    if (Object.hasOwn(TOLD, notice.type) && !shown) toast(t(TOLD[notice.type]), `#/order/${notice.order_id}`);
  }), [userId]);
  const Page = pageOf(at);
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.querySelector('main h1')?.focus(); }}>${t('Skip to the content')}</a>
    <${Top} at=${at} />
    <main id="main"><${Guard} key=${at.key}><${Page} key=${at.page === 'search' ? 'search' : at.key} rest=${at.rest} query=${at.query} /><//></main>
    <footer><a href="/docs">${t('API documentation')}</a> · Ludoteca</footer>
    <div class="toasts" role="status" aria-live="polite">${state.toasts.map((entry) => html`<div class="toast"><span>${entry.text} ${entry.href && html`<a href=${entry.href}>${t('Show the order')}</a>`}</span><button aria-label=${t('Dismiss')} onClick=${() => dismiss(entry)}>×</button></div>`)}</div>`;
}

const root = document.getElementById('app');
root.replaceChildren();
render(html`<${App} />`, root);
