// What opens one's account beside the password: passkeys, an app, recovery codes.

import { html, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { moment, t } from '../i18n.js';
import { addPasskey, hasPasskeys } from '../passkey.js';
import { closeDialog, Dialog, Failure, Field, Form, Sure } from '../ui.js';

const KINDS = { passkey: 'Passkey', totp: 'Authenticator app' };

const focus = (node) => node?.focus();

/** `held` is what there is, `again` loads it anew; `proven` asks for a login of just now where one is needed. */
export function Authenticators({ held, again, proven }) {
  const [error, setError] = useState(null);
  const [setup, setUp] = useState(null);
  const [codes, show] = useState(null);
  const makeCodes = async () => { show((await proven(() => api.post('/users/me/recovery-codes'))).codes); again(); };
  // With the first come codes for the day when it is lost.
  const added = ({ recovery_codes }) => { if (recovery_codes) show(recovery_codes); again(); };
  const passkey = ({ name }, form) => proven(() => addPasskey(name)).then((answer) => { form.reset(); added(answer); });
  const begin = async () => setUp(await proven(() => api.post('/users/me/totp/setup')));
  const finish = async ({ name, code }) => {
    const answer = await proven(() => api.post('/users/me/totp', { ceremony: setup.ceremony, name, code }));
    closeDialog();
    added(answer);
  };
  const remove = (entry) => api.del(`/users/me/authenticators/${entry.id}`).then(() => { show(null); again(); });
  const guarded = held.items.length > 0;
  return html`<section class="panel" id="authenticators"><h2>${t('Passkeys and codes')}</h2>
    <p>${t('A passkey opens your account with a finger, a face or a PIN. An app shows a code that goes with your password.')}</p><${Failure} error=${error} />
    <ul class="lines">${held.items.map((entry) => html`<li key=${entry.id}><span class="grow"><strong>${entry.name}</strong><br /><small>${t(KINDS[entry.kind])} · ${t('since')} ${moment(entry.added_at)}${entry.used_at && ` · ${t('last used')} ${moment(entry.used_at)}`}</small>${entry.worn_out && html`<br /><strong class="bad">${t('Too many wrong codes: set it up anew, and choose another password.')}</strong>`}</span>
      <${Sure} label=${`${t('Remove')}: ${entry.name}`} short=${t('Remove')} question=${t('It no longer opens your account. Devices that are logged in stay so until you log them out below.')} act=${() => proven(() => remove(entry))} /></li>`)}</ul>
    ${hasPasskeys() && html`<${Form} submit=${passkey} label=${t('Add a passkey')}><${Field} name="name" id="passkey-name" label=${t('Name')} hint=${t('Such as the device that it is on')} required maxlength="60" autocomplete="off" /><//>`}
    <p class="row"><button class="button quiet" id="add-app" onClick=${() => begin().catch(setError)}>${t('Set up an authenticator app')}</button>
      ${guarded && html`<button class="button quiet" id="codes" onClick=${() => makeCodes().catch(setError)}>${t('New recovery codes')}</button><small>${t('{n} left', { n: held.recovery_codes })}</small>`}</p>
    ${codes && html`<div id="recovery"><p class="note warn" tabindex="-1" ref=${focus}>${t('Keep these codes on paper. Each opens your account once, with your password, where all else is lost. They are not shown again.')}</p>
      <ul class="lines code">${codes.map((code) => html`<li key=${code}>${code}</li>`)}</ul></div>`}
    ${setup && html`<${Dialog} title=${t('Authenticator app')} close=${() => setUp(null)}><p>${t('Scan this with your app, or type the secret. Then type the code that it shows.')}</p>
      <img class="qr" src=${setup.qr_code} alt=${t('The secret, for a camera')} width="200" height="200" /><p><code class="code" id="secret">${setup.secret}</code><a href=${setup.uri}>${t('Open it in an app on this device')}</a></p>
      <${Form} submit=${finish} label=${t('Add the app')}><${Field} name="name" id="app-name" label=${t('Name')} required maxlength="60" value=${t('Authenticator app')} autocomplete="off" /><${Field} name="code" label=${t('Code')} required inputmode="numeric" autocomplete="one-time-code" /><//><//>`}</section>`;
}
