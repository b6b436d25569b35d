// Register, log in, and one's account.

import { html, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { t } from '../i18n.js';
import { change, Failure, Field, forgetUser, Form, loadUser, state, Sure, Title, useLoaded } from '../ui.js';

/** Begins a session, and goes back to where somebody came from. */
async function begin(email, password, next) {
  const here = location.hash;
  await api.post('/login/session', { email, password });
  api.remember(true);
  await loadUser();
  if (!state.user) throw new Error(t('Your browser did not keep the session. Open the shop over HTTPS.'));
  // Whoever went elsewhere meanwhile stays there.
  if (location.hash === here) location.replace(next?.startsWith('#/') ? next : state.basket.length ? '#/basket' : '#/');
}

export function Register({ query }) {
  const next = query.get('next');
  const register = async ({ name, email, password, birth_date }) => {
    await api.postOnce('/users', { name, email, password, birth_date });
    await begin(email, password, next);
  };
  return html`<${Title}>${t('Register')}<//><div class="panel"><${Form} submit=${register} label=${t('Register')}>
    <${Field} name="name" label=${t('Name')} required maxlength="120" autocomplete="name" />
    <${Field} name="email" label=${t('E-mail')} type="email" required autocomplete="email" />
    <${Field} name="password" label=${t('Password')} hint=${t('8 to 128 characters')} type="password" minlength="8" maxlength="128" required autocomplete="new-password" />
    <${Field} name="birth_date" label=${t('Birth date')} hint=${t("Needed for age ratings. Only you and the store's staff see it.")} type="date" required autocomplete="bday" />
    <//></div><p><a href="#/login${on(next)}">${t('Have an account already? Log in')}</a></p>`;
}

const on = (next) => (next ? `?next=${encodeURIComponent(next)}` : '');

export function Login({ query }) {
  const next = query.get('next');
  return html`<${Title}>${t('Log in')}<//>${next && html`<p>${t('Log in to continue.')}</p>`}<div class="panel"><${Form} submit=${({ email, password }) => begin(email, password, next)} label=${t('Log in')}>
    <${Field} name="email" label=${t('E-mail')} type="email" required autocomplete="email" />
    <${Field} name="password" label=${t('Password')} type="password" required autocomplete="current-password" />
    <//></div><p><a href="#/register${on(next)}">${t('No account yet? Register')}</a></p>`;
}

async function leave() {
  await api.del('/login/session');
  api.remember(false);
  location.hash = '#/';
  forgetUser();
  change({ basket: [] });
}

export function Account() {
  const [user, missing, reload] = useLoaded(() => api.get('/users/me'), 'me');
  const [error, setError] = useState(null);
  if (!user) return html`<${Title}>${t('Account')}<//><${Failure} error=${missing} again=${reload} />`;
  const save = async ({ name, email, birth_date }) => {
    await api.put('/users/me', { name, email, birth_date });
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
  // Whoever finds an open session does not know the password.
  const erase = async ({ password }) => {
    await api.post('/login/session', { email: user.email, password });
    await api.del('/users/me');
    await leave();
  };
  return html`<${Title}>${t('Account')}<//><${Failure} error=${error} />
    <section class="panel"><h2>${t('Profile')}</h2><${Form} submit=${save} label=${t('Save')} done=${t('Saved.')}>
      <${Field} name="name" label=${t('Name')} required value=${user.name} autocomplete="name" />
      <${Field} name="email" label=${t('E-mail')} type="email" required value=${user.email} autocomplete="email" />
      <${Field} name="birth_date" label=${t('Birth date')} type="date" required value=${user.birth_date} autocomplete="bday" /><//></section>
    <section class="panel"><h2>${t('Your data')}</h2><p>${t('Download everything the store knows of you, as JSON.')}</p>
      <p class="row"><button class="button quiet" onClick=${() => download().catch(setError)}>${t('Download')}</button><button class="button quiet" onClick=${() => leave().catch(setError)}>${t('Log out')}</button></p></section>
    <section class="panel"><h2>${t('Delete account')}</h2><p>${t('Your name, address and birth date become unreadable for ever, everywhere. Your library goes with them.')}</p>
      <${Sure} label=${t('Delete for ever')} question=${t('This deletes your account. Type your password to continue.')} act=${erase}><${Field} name="password" label=${t('Password')} type="password" required autocomplete="current-password" /><//></section>`;
}
