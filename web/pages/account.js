// Register, log in, and one's account.

import { html, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { t } from '../i18n.js';
import { change, Dialog, Failure, Field, Form, loadUser, state, Title, useLoaded } from '../ui.js';

async function begin(email, password) {
  const here = location.hash;
  await api.post('/login/session', { email, password });
  api.remember(true);
  await loadUser();
  if (!state.user) throw new Error(t('Your browser did not keep the session. Open the shop over HTTPS.'));
  // Whoever went elsewhere meanwhile stays there.
  if (location.hash === here) location.hash = state.basket.length ? '#/basket' : '#/';
}

export function Register() {
  const register = async ({ name, email, password, birth_date }) => {
    await api.postOnce('/users', { name, email, password, birth_date });
    await begin(email, password);
  };
  return html`<${Title}>${t('Register')}<//><div class="panel"><${Form} submit=${register} label=${t('Register')}>
    <${Field} name="name" label=${t('Name')} required maxlength="120" autocomplete="name" />
    <${Field} name="email" label=${t('E-mail')} type="email" required autocomplete="email" />
    <${Field} name="password" label=${t('Password')} hint=${t('8 to 128 characters')} type="password" minlength="8" maxlength="128" required autocomplete="new-password" />
    <${Field} name="birth_date" label=${t('Birth date')} hint=${t('Needed for age ratings; nobody else sees it.')} type="date" required autocomplete="bday" />
    <//></div><p><a href="#/login">${t('Have an account already? Log in')}</a></p>`;
}

export function Login() {
  return html`<${Title}>${t('Log in')}<//><div class="panel"><${Form} submit=${({ email, password }) => begin(email, password)} label=${t('Log in')}>
    <${Field} name="email" label=${t('E-mail')} type="email" required autocomplete="email" />
    <${Field} name="password" label=${t('Password')} type="password" required autocomplete="current-password" />
    <//></div><p><a href="#/register">${t('No account yet? Register')}</a></p>`;
}

async function leave() {
  await api.del('/login/session');
  api.remember(false);
  change({ user: null, owned: new Set(), basket: [] });
  location.hash = '#/';
}

export function Account() {
  const [user, , reload] = useLoaded(() => api.get('/users/me'), 'me');
  const [saved, setSaved] = useState(false);
  const [leaving, setLeaving] = useState(false);
  const [error, setError] = useState(null);
  if (!user) return html`<${Title}>${t('Account')}<//>`;
  const save = async ({ name, email, birth_date }) => {
    setSaved(false);
    await api.put('/users/me', { name, email, birth_date });
    setSaved(true);
    reload();
  };
  const download = async () => {
    const data = await api.get('/users/me/export');
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }));
    link.download = 'ludoteca.json';
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const erase = async () => { await api.del('/users/me'); await leave(); };
  return html`<${Title}>${t('Account')}<//><${Failure} error=${error} />
    <section class="panel"><h2>${t('Profile')}</h2>${saved && html`<p class="note ok" role="status">${t('Saved.')}</p>`}<${Form} submit=${save} label=${t('Save')}>
      <${Field} name="name" label=${t('Name')} required value=${user.name} autocomplete="name" />
      <${Field} name="email" label=${t('E-mail')} type="email" required value=${user.email} autocomplete="email" />
      <${Field} name="birth_date" label=${t('Birth date')} type="date" required value=${user.birth_date} autocomplete="bday" /><//></section>
    <section class="panel"><h2>${t('Your data')}</h2><p>${t('Download everything the store knows of you, as JSON.')}</p>
      <p class="row"><button class="button quiet" onClick=${download}>${t('Download')}</button><button class="button quiet" onClick=${() => leave().catch(setError)}>${t('Log out')}</button></p></section>
    <section class="panel"><h2>${t('Delete account')}</h2><p>${t('Your name, address and birth date become unreadable for ever, everywhere. Your library goes with them.')}</p>
      <button class="button danger" onClick=${() => setLeaving(true)}>${t('Delete account')}</button></section>
    ${leaving && html`<${Dialog} title=${t('Delete account')} close=${() => setLeaving(false)}><p>${t('Your name, address and birth date become unreadable for ever, everywhere. Your library goes with them.')}</p><${Form} submit=${erase} label=${t('Delete for ever')} danger /><//>`}`;
}
