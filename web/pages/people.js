// For staff: people with an account, and birth dates that were proven.

import { html, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { day, t } from '../i18n.js';
import { useProof } from '../proof.js';
import { closeDialog, Dialog, Failure, Field, Form, state, usePages } from '../ui.js';

const EVIDENCE = { identity_document: 'Identity document', guardian: 'Parent or guardian', store_error: 'Store error' };

export function People() {
  const [people, error, more, again] = usePages('/users?limit=50');
  const [chosen, choose] = useState(null);
  const [proven, proof] = useProof(state.user.email);
  const confirm = async ({ birth_date, evidence }) => {
    await proven(() => api.put(`/users/${chosen.id}/birth-date`, { birth_date, evidence }));
    closeDialog();
    again();
  };
  return html`<${Failure} error=${error} again=${again} />${proof}
    <div class="table"><table><thead><tr><th scope="col">${t('Name')}</th><th scope="col">${t('E-mail')}</th><th scope="col">${t('Birth date')}</th><th></th></tr></thead>
      <tbody>${people?.filter((person) => !person.erased).map((person) => html`<tr key=${person.id}><td>${person.name}</td><td>${person.email} ${person.email_confirmed && html`<span class="tag">${t('Confirmed')}</span>`}</td><td>${day(person.birth_date)}${person.counted_birth_date && html`<br /><span class="tag">${t('counts as {date}', { date: day(person.counted_birth_date) })}</span>`}</td>
        <td>${person.id !== state.user.id && html`<button class="button quiet small" aria-label="${t('Confirm the birth date')}: ${person.name}" onClick=${() => choose(person)}>${t('Confirm the birth date')}</button>`}</td></tr>`)}</tbody></table></div>
    ${more && html`<p><button class="button quiet" id="more" onClick=${more}>${t('Show more')}</button></p>`}
    ${chosen && html`<${Dialog} title=${t('Confirm the birth date')} close=${() => choose(null)}><p>${chosen.name}: ${t('age ratings go by this date from now on.')}</p><${Form} submit=${confirm} label=${t('Save')}>
      <${Field} name="birth_date" label=${t('Birth date')} type="date" required />
      <${Field} name="evidence" label=${t('What did you see?')}><select id="f-evidence" name="evidence" required><option value=""></option>${Object.entries(EVIDENCE).map(([value, label]) => html`<option value=${value}>${t(label)}</option>`)}</select><//><//><//>`}`;
}
