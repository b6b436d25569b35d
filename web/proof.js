// A login of just now, asked for where something needs one.

import { html, useState } from './vendor/preact.js';
import * as api from './api.js';
import { t } from './i18n.js';
import { beginWithPasskey, hasPasskeys } from './passkey.js';
import { closeDialog, Dialog, Failure, Field, Form, state } from './ui.js';

/** Begins a session with a password, and with a code once the account has asked for one: `[begin, field]`. */
export function useLogin() {
  const [guarded, guard] = useState(false);
  const begin = async ({ email, password, code }) => {
    const asked = api.post('/login/session', { email, password, ...(code ? { code } : {}) });
    await asked.catch((problem) => { if (problem.code === 'second_factor_needed') guard(true); throw problem; });
  };
  return [begin, guarded && html`<${Field} name="code" label=${t('Code')} hint=${t('What your app shows, or a recovery code')} required autocomplete="one-time-code" />`];
}

/** A button that begins a session with a passkey, and `done` when it has begun. */
export function WithPasskey({ done }) {
  const [error, setError] = useState(null);
  const begin = () => { setError(null); beginWithPasskey().then(done).catch(setError); };
  return hasPasskeys() && html`<${Failure} error=${error} /><p><button type="button" class="button quiet" id="passkey" onClick=${begin}>${t('Use a passkey')}</button></p>`;
}

/** Does what may need a login of just now, and asks for one where it does: `[proven, dialog]`. */
export function useProof(email) {
  const [asked, ask] = useState(null);
  const [begin, code] = useLogin();
  const proven = async (act) => {
    try { return await act(); } catch (problem) { if (problem.code !== 'login_too_old') throw problem; }
    await new Promise((yes, no) => ask({ yes, no }));
    return act();
  };
  // A passkey may be somebody else's; what was asked for is not done to their account.
  const go = async () => {
    if ((await api.get('/users/me')).id !== state.user?.id) { location.reload(); return; }
    asked.yes();
    closeDialog();
  };
  const close = () => { asked.no(new Error(t('Nothing was changed.'))); ask(null); };
  return [proven, asked && html`<${Dialog} title=${t('Is it you?')} close=${close}><p>${t('Type your password to continue.')}</p><${Form} submit=${(fields) => begin({ email, password: fields.proof, code: fields.code }).then(go)} label=${t('Continue')}>
    <${Field} name="proof" label=${t('Password')} type="password" required autocomplete="current-password" />${code}<//><${WithPasskey} done=${go} /><//>`];
}
