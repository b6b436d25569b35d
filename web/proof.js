// A login of just now, asked for where something needs one.

import { html, useState } from './vendor/preact.js';
import * as api from './api.js';
import { t } from './i18n.js';
import { closeDialog, Dialog, Field, Form } from './ui.js';

/** Does what may need a login of just now, and asks for the password where it does: `[proven, dialog]`. */
export function useProof(email) {
  const [asked, ask] = useState(null);
  const proven = async (act) => {
    try { return await act(); } catch (problem) { if (problem.code !== 'login_too_old') throw problem; }
    await new Promise((yes, no) => ask({ yes, no }));
    return act();
  };
  const prove = async ({ proof: password }) => { await api.post('/login/session', { email, password }); asked.yes(); closeDialog(); };
  const close = () => { asked.no(new Error(t('Nothing was changed.'))); ask(null); };
  return [proven, asked && html`<${Dialog} title=${t('Is it you?')} close=${close}><p>${t('Type your password to continue.')}</p><${Form} submit=${prove} label=${t('Continue')}>
    <${Field} name="proof" label=${t('Password')} type="password" required autocomplete="current-password" /><//><//>`];
}
