// Getting in: register, confirm an address, log in, and a password that was forgotten.

import { html, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { t } from '../i18n.js';
import { NewPassword } from '../password.js';
import { useLogin, WithPasskey } from '../proof.js';
import { Field, forgetUser, Form, loadUser, state, Title } from '../ui.js';

/** Goes back to where somebody came from, once a session has begun. */
async function goOn(here, next) {
  api.remember(true);
  await loadUser();
  if (!state.user) throw new Error(t('Your browser did not keep the session. Open the shop over HTTPS.'));
  // Whoever went elsewhere meanwhile stays there.
  if (location.hash === here) location.replace(next?.startsWith('#/') ? next : state.basket.length ? '#/basket' : '#/');
}

export function Register({ query }) {
  const next = query.get('next');
  const [mailed, setMailed] = useState(false);
  const register = async ({ name, email, password, birth_date }) => {
    // Where addresses have to be confirmed, nobody is told whether this one was free.
    const here = location.hash;
    if (!await api.postOnce('/users', { name, email, password, birth_date })) { setMailed(true); return; }
    await api.post('/login/session', { email, password });
    await goOn(here, next);
  };
  if (mailed) return html`<${Title}>${t('Register')}<//><p class="note ok" role="status">${t('We have sent you a mail. Follow its link, then log in.')}</p>`;
  return html`<${Title}>${t('Register')}<//><div class="panel"><${Form} submit=${register} label=${t('Register')}>
    <${Field} name="name" label=${t('Name')} required maxlength="120" autocomplete="name" />
    <${Field} name="email" label=${t('E-mail')} type="email" required autocomplete="email" />
    <${NewPassword} known=${['name', 'email']} />
    <${Field} name="birth_date" label=${t('Birth date')} hint=${t("Needed for age ratings. Only you and the store's staff see it.")} type="date" required autocomplete="bday" />
    <//></div><p><a href="#/login${on(next)}">${t('Have an account already? Log in')}</a></p>`;
}

const on = (next) => (next ? `?next=${encodeURIComponent(next)}` : '');

export function Login({ query }) {
  const next = query.get('next');
  const [begin, code] = useLogin();
  const here = location.hash;
  const done = () => goOn(here, next);
  return html`<${Title}>${t('Log in')}<//>${next && html`<p>${t('Log in to continue.')}</p>`}<div class="panel"><${Form} submit=${(fields) => begin(fields).then(done)} label=${t('Log in')}>
    <${Field} name="email" label=${t('E-mail')} type="email" required autocomplete="email" />
    <${Field} name="password" label=${t('Password')} type="password" required autocomplete="current-password" />${code}
    <//></div><${WithPasskey} done=${done} /><p><a href="#/forgotten">${t('Forgot your password?')}</a></p><p><a href="#/register${on(next)}">${t('No account yet? Register')}</a></p>`;
}

export function Forgotten() {
  const [sent, setSent] = useState(false);
  const ask = async ({ email }) => { await api.post('/login/forgotten', { email }); setSent(true); };
  return html`<${Title}>${t('Forgot your password?')}<//>${sent
    ? html`<p class="note ok" role="status">${t('If there is an account with this e-mail, a link is on its way to it. It is good for half an hour.')}</p>`
    : html`<p>${t('We send you a link to choose another one.')}</p><div class="panel"><${Form} submit=${ask} label=${t('Send the link')}>
    <${Field} name="email" label=${t('E-mail')} type="email" required autocomplete="email" /><//></div>`}`;
}

export function Reset({ query }) {
  const [done, setDone] = useState(false);
  const choose = async ({ password }) => { await api.post('/login/reset', { token: query.get('token') ?? '', password }); api.remember(false); forgetUser(); setDone(true); };
  return html`<${Title}>${t('Choose another password')}<//>${done
    ? html`<p class="note ok" role="status">${t('This is your password from now on.')} <a href="#/login">${t('Log in')}</a></p>`
    : html`<div class="panel"><${Form} submit=${choose} label=${t('Save')}><${NewPassword} /><//></div><p><a href="#/forgotten">${t('Send another link')}</a></p>`}`;
}

/** Where a link leads that was mailed to an address. Programs that look at links in mails follow it, and press nothing. */
export function Confirm({ query }) {
  const [done, setDone] = useState(false);
  const confirm = async () => { await api.post('/login/confirm', { token: query.get('token') ?? '' }); setDone(true); await loadUser(); };
  return html`<${Title}>${t('Confirm your e-mail address')}<//>${done
    ? html`<p class="note ok" role="status">${t('Your e-mail address is confirmed.')} <a href=${state.user ? '#/' : '#/login'}>${t(state.user ? 'Go to the shop' : 'Log in')}</a></p>`
    : html`<p>${t('Is this your account, and did you ask for this mail?')}</p><div class="panel"><${Form} submit=${confirm} label=${t('Confirm')} /></div><p><a href="#/forgotten">${t('Choose another password')}</a></p>`}`;
}
