// One's account: profile, password, sessions, data.

import { html, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { moment, t } from '../i18n.js';
import { ApiKeys } from './api_keys.js';
import { Authenticators } from './authenticators.js';
import { NewPassword } from '../password.js';
import { useLogin, useProof, WithPasskey } from '../proof.js';
import { Failure, Field, Form, leave, Sure, Title, useLoaded } from '../ui.js';

/** Where a session was opened, as far as its network tells that. */
function place(session, here) {
  if (!session.network) return t('from an unknown place');
  if (session === here) return t('from here, network {network}', session);
  return session.network === here?.network ? t('from the same network as this one') : t('from another network, {network}', session);
}

/** Where one is logged in. */
function Sessions() {
  const [sessions, missing, reload] = useLoaded(() => api.get('/users/me/sessions'), 'sessions');
  const [error, setError] = useState(null);
  const here = sessions?.items.find((session) => session.current);
  const end = (session) => api.del(`/users/me/sessions/${session.id}`).then(reload, setError);
  const endAll = async () => { await api.del('/users/me/sessions'); await leave(); };
  return html`<section class="panel" id="sessions"><h2>${t('Where you are logged in')}</h2><${Failure} error=${missing || error} again=${missing && reload} />
    <ul class="lines">${sessions?.items.map((session) => html`<li key=${session.id}><span class="grow"><strong>${session.device || t('Unknown device')}</strong><br /><small>${place(session, here)} · ${t('since')} ${moment(session.opened_at)} · ${t('last used')} ${moment(session.used_at)}</small></span>
      ${session.current ? html`<span class="tag">${t('This one')}</span>` : html`<button class="button quiet small" onClick=${() => end(session)} aria-label="${t('End')}: ${session.device}">${t('End')}</button>`}</li>`)}</ul>
    <p><button class="button quiet" id="leave-all" onClick=${() => endAll().catch(setError)}>${t('Log out everywhere')}</button></p></section>`;
}

async function loadProfile() {
  const response = await api.request('GET', '/users/me');
  return { user: await response.json(), etag: response.headers.get('ETag') };
}

export function Account() {
  const [seen, missing, reload] = useLoaded(loadProfile, 'me');
  const user = seen?.user;
  const [error, setError] = useState(null);
  const [told, tell] = useState(null);
  const [held, unheld, holdAgain] = useLoaded(() => api.get('/users/me/authenticators'), 'held');
  const [proven, proof] = useProof(user?.email);
  const [begin, code] = useLogin();
  if (!user) return html`<${Title}>${t('Account')}<//><${Failure} error=${missing} again=${reload} />`;
  const save = async ({ name, email, birth_date = user.birth_date }) => {
    const change = { body: { name, email, birth_date }, headers: { 'If-Match': seen.etag } };
    const saved = proven(() => api.request('PUT', '/users/me', change));
    // Somebody else was faster: what they saved is shown.
    const response = await saved.catch((problem) => { if (problem.status === 412) reload(); throw problem; });
    tell(response.status === 202 ? t('A link is on its way to {email}. Follow it to make this your address.', { email }) : null);
    reload();
  };
  const confirm = async () => {
    await api.post('/users/me/email/confirmation');
    tell(t('A link is on its way to {email}.', { email: user.email }));
  };
  const choose = async ({ current_password, password }, form) => {
    await proven(() => api.put('/users/me/password', { current_password, password }));
    form.reset();
  };
  const download = async () => {
    const data = await proven(() => api.get('/users/me/export'));
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }));
    link.download = 'ludoteca.json';
    link.click();
    URL.revokeObjectURL(link.href);
  };
  // The account of whoever has just proven who they are, which may be another's by their passkey.
  const gone = async () => {
    if ((await api.get('/users/me')).id !== user.id) { location.reload(); return; }
    await api.del('/users/me');
    await leave();
  };
  // Whoever finds an open session does not know the password.
  const erase = async ({ proof: password, code }) => {
    await begin({ email: user.email, password, code });
    await gone();
  };
  return html`<${Title}>${t('Account')}<//><${Failure} error=${error} />${proof}
    <section class="panel"><h2>${t('Profile')}</h2><${Form} submit=${save} label=${t('Save')} done=${t('Saved.')}>
      <${Field} name="name" label=${t('Name')} required value=${user.name} autocomplete="name" />
      <${Field} name="email" label=${t('E-mail')} type="email" required value=${user.email} autocomplete="email" />
      <${Field} name="birth_date" label=${t('Birth date')} hint=${user.birth_date_corrected ? t('You have corrected it once; ask the store to change it again.') : t('You can correct it once. Until the store has confirmed it, the younger age counts.')} type="date" required disabled=${user.birth_date_corrected} value=${user.birth_date} autocomplete="bday" /><//>
      ${user.pending_email && !told && html`<p class="note">${t('{email} waits for you to follow the link that we have sent there.', { email: user.pending_email })}</p>`}
      ${told && html`<p class="note ok" role="status">${told}</p>`}
      ${!user.email_confirmed && html`<p class="row">${t('Your e-mail address is not confirmed.')} <button class="button quiet small" id="confirm" onClick=${() => confirm().catch(setError)}>${t('Send the link')}</button></p>`}</section>
    <section class="panel"><h2>${t('Password')}</h2><${Form} submit=${choose} label=${t('Change the password')} done=${t('Saved.')}>
      <${Field} name="current_password" label=${t('Password until now')} type="password" required autocomplete="current-password" />
      <${NewPassword} label=${t('New password')} words=${[user.name, user.email]} guarded=${held?.items.length > 0} /><//></section>
    <${Failure} error=${unheld} again=${holdAgain} />${held && html`<${Authenticators} held=${held} again=${holdAgain} proven=${proven} />`}
    <${Sessions} /><${ApiKeys} role=${user.role} proven=${proven} />
    <section class="panel"><h2>${t('Your data')}</h2><p>${t('Download everything the store knows of you, as JSON.')}</p>
      <p class="row"><button class="button quiet" onClick=${() => download().catch(setError)}>${t('Download')}</button></p></section>
    <section class="panel"><h2>${t('Delete account')}</h2><p>${t('Your name, address and birth date become unreadable for ever, everywhere. Your library goes with them.')}</p>
      <${Sure} label=${t('Delete for ever')} question=${t('This deletes your account. Type your password to continue.')} act=${erase}><${Field} name="proof" label=${t('Password')} type="password" required autocomplete="current-password" />${code}<${WithPasskey} done=${gone} /><//></section>`;
}
