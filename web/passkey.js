// Passkeys, as browsers make them and ask for them.

import * as api from './api.js';
import { t } from './i18n.js';

/** Whether this browser can: older ones do not read the gateway's JSON. */
export const hasPasskeys = () => Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON);

const FAILURES = {
  InvalidStateError: t('This device has a passkey for your account already.'),
  SecurityError: t('Passkeys do not work at this address of the store.'),
};
/** What came of the browser's question; whoever closes it did nothing wrong. */
const asked = (credential) => credential.catch(({ name }) => { throw new Error(FAILURES[name] || t('The passkey was not used.')); });

/** Makes a passkey on a device of the person's choice, and adds it to their account; what the gateway says of it. */
export async function addPasskey(name) {
  const { ceremony, options } = await api.post('/users/me/passkeys/options');
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const credential = await asked(navigator.credentials.create({ publicKey }));
  return api.post('/users/me/passkeys', { ceremony, name, credential: credential.toJSON() });
}

/** Begins a session with a passkey; whose it is, it says itself. */
export async function beginWithPasskey() {
  const { ceremony, options } = await api.post('/login/passkey/options');
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const credential = await asked(navigator.credentials.get({ publicKey }));
  await api.post('/login/session/passkey', { ceremony, credential: credential.toJSON() });
}
