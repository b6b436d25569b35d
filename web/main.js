// The shell: the bar at the top, which page is shown, and what is told about one's orders.

import { html, render, useEffect, useState } from './vendor/preact.js';
import * as api from './api.js';
import { language, switchLanguage, t } from './i18n.js';
import { change, Failure, loadOwned, loadUser, onChange, state, toast, Title } from './ui.js';
import { Game, Home, Search } from './pages/catalogue.js';

/** A page that is fetched when it is first shown. */
const later = (file, name) => (props) => {
  const [Page, setPage] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => { import(file).then((module) => setPage(() => module[name]), setError); }, []);
  return Page ? html`<${Page} ...${props} />` : html`<${Failure} error=${error} />`;
};

const PAGES = {
  '': Home, search: Search, game: Game,
  register: later('./pages/account.js', 'Register'), login: later('./pages/account.js', 'Login'), account: later('./pages/account.js', 'Account'),
  basket: later('./pages/buying.js', 'Basket'), order: later('./pages/buying.js', 'Order'), orders: later('./pages/buying.js', 'Orders'), library: later('./pages/buying.js', 'Library'),
  admin: later('./pages/admin.js', 'Admin'),
};

function place() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [page, ...rest] = path.split('/');
  return { page, rest, query: new URLSearchParams(query), key: path };
}

function Link({ to, at, children }) {
  return html`<a href="#/${to}" aria-current=${at === to ? 'page' : undefined}>${children}</a>`;
}

function Top({ at }) {
  const { user, basket } = state;
  const search = (event) => {
    const q = event.target.value;
    const query = new URLSearchParams(place().page === 'search' ? place().query : '');
    if (q) query.set('q', q); else query.delete('q');
    const next = `#/search?${query}`;
    if (place().page === 'search') history.replaceState(null, '', next); else history.pushState(null, '', next);
    dispatchEvent(new HashChangeEvent('hashchange'));
  };
  return html`<header class="top"><div>
    <a class="brand" href="#/"><img src="/loja/icon.svg" alt="" width="30" height="30" />Ludoteca</a>
    <form role="search" onSubmit=${(event) => event.preventDefault()}><label class="hidden" for="q">${t('Search games')}</label>
      <input id="q" type="search" placeholder=${t('Search games')} autocomplete="off" value=${at.page === 'search' ? at.query.get('q') || '' : ''} onInput=${search} /></form>
    <nav aria-label=${t('Main')}>
      ${user && html`<${Link} to="library" at=${at.page}>${t('Library')}<//><${Link} to="orders" at=${at.page}>${t('Orders')}<//>`}
      <${Link} to="basket" at=${at.page}>${t('Basket')}${basket.length > 0 && html`<span class="count">${basket.length}</span>`}<//>
      ${user?.role === 'admin' && html`<${Link} to="admin" at=${at.page}>${t('Admin')}<//>`}
      ${user ? html`<${Link} to="account" at=${at.page}>${t('Account')}<//>` : html`<${Link} to="login" at=${at.page}>${t('Log in')}<//><${Link} to="register" at=${at.page}>${t('Register')}<//>`}
      <button lang=${language === 'pt' ? 'en' : 'pt-BR'} onClick=${switchLanguage}>${language === 'pt' ? 'English' : 'Português'}</button>
    </nav></div></header>`;
}

const Missing = () => html`<${Title}>${t('There is no such page')}<//><p><a href="#/">${t('Go to the shop')}</a></p>`;

function App() {
  const [at, setAt] = useState(place());
  const [, render] = useState(0);
  onChange(() => render((n) => n + 1));
  useEffect(() => {
    let before = place().page + place().key;
    const go = () => {
      const next = place();
      setAt(next);
      if (before === next.page + next.key) return;
      before = next.page + next.key;
      scrollTo(0, 0);
    };
    addEventListener('hashchange', go);
    loadUser();
    return () => removeEventListener('hashchange', go);
  }, []);
  const userId = state.user?.id;
  useEffect(() => userId && api.notices('/notificacoes', (notice) => {
    const href = `#/order/${notice.order_id}`;
    if (notice.type === 'OrderCompleted') { loadOwned(); toast(t('Your order is complete'), href); }
    if (notice.type === 'OrderPaymentFailed') toast(t('A payment failed'), href);
  }), [userId]);
  const Page = PAGES[at.page] || Missing;
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.querySelector('main h1')?.focus(); }}>${t('Skip to the content')}</a>
    <${Top} at=${at} />
    <main id="main"><${Page} key=${at.page === 'search' ? 'search' : at.key} rest=${at.rest} query=${at.query} /></main>
    <footer><a href="/docs">${t('API documentation')}</a> · Ludoteca</footer>
    <div class="toasts" role="status" aria-live="polite">${state.toasts.map((entry) => html`<div class="toast">${entry.text} ${entry.href && html`<a href=${entry.href}>${t('look')}</a>`}</div>`)}</div>`;
}

render(html`<${App} />`, document.getElementById('app'));
