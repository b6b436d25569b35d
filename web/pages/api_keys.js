// Keys for one's programs: what each is good for, when it was used, and how it ends.

import { html, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { day, moment, t } from '../i18n.js';
import { Failure, Field, Form, useLoaded } from '../ui.js';

/** What a key may be good for, and whose keys. */
const SCOPES = { read_catalogue: ['Read the catalogue'], write_catalogue: ['Change the catalogue', 'admin'], read_events: ['Read events', 'analyst', 'admin'], operate: ['Figures and dead letters', 'admin'] };
const DAYS = [30, 90, 365];
const ROOT = '/users/me/api-keys';

const focus = (node) => node?.focus();

/** `proven` asks for a login of just now where one is needed. */
export function ApiKeys({ role, proven }) {
  const [keys, missing, again] = useLoaded(() => api.get(ROOT), 'api-keys');
  const [error, setError] = useState(null);
  const [made, show] = useState(null);
  const offered = Object.entries(SCOPES).filter(([, [, ...roles]]) => roles.length === 0 || roles.includes(role));
  const make = async ({ name, days }, form) => {
    const scopes = new FormData(form).getAll('scopes');
    const expires_at = new Date(Date.now() + days * 86_400_000).toISOString();
    show((await proven(() => api.post(ROOT, { name, scopes, expires_at }))).key);
    form.reset();
    again();
  };
  const revoke = (key) => api.del(`${ROOT}/${key.id}`).then(again, setError);
  return html`<section class="panel" id="api-keys"><h2>${t('Keys for programs')}</h2><p>${t('A program that uses your account gets a key of its own, never your password.')}</p><${Failure} error=${missing || error} again=${missing && again} />
    <ul class="lines">${keys?.items.map((key) => html`<li key=${key.id}><span class="grow"><strong>${key.name}</strong> ${key.scopes.map((scope) => html`<span class="tag" key=${scope}>${t(SCOPES[scope][0])}</span> `)}<br /><small>${t('until')} ${day(key.expires_at)} · ${key.used_at ? `${t('last used')} ${moment(key.used_at)}` : t('not used yet')}</small></span>
      <button class="button quiet small" onClick=${() => revoke(key)} aria-label="${t('End')}: ${key.name}">${t('End')}</button></li>`)}</ul>
    ${made && html`<p class="note warn" tabindex="-1" ref=${focus}>${t('Copy this key now. It is not shown again.')}</p><code class="code" id="key">${made}</code>`}
    <details><summary>${t('Make a key')}</summary><${Form} submit=${make} label=${t('Make a key')}>
      <${Field} name="name" id="key-name" label=${t('Name')} hint=${t('Such as the program that gets it')} required maxlength="60" autocomplete="off" />
      <fieldset><legend>${t('What it may do')}</legend>${offered.map(([scope, [label]]) => html`<label class="check" key=${scope}><input type="checkbox" name="scopes" value=${scope} defaultChecked=${scope === 'read_catalogue'} />${t(label)}</label>`)}</fieldset>
      <${Field} name="days" label=${t('Good for')}><select id="f-days" name="days">${DAYS.map((days) => html`<option value=${days} key=${days}>${t('{n} days', { n: days })}</option>`)}</select><//><//></details></section>`;
}
