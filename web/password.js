// A field for a new password, which says while one types how hard it is to guess.

import { html, useEffect, useState } from './vendor/preact.js';
import * as api from './api.js';
import { t } from './i18n.js';
import { Field } from './ui.js';

/** How long nobody types before a password is measured. */
const PAUSE = 400;
const SAID = ['Guessed at once', 'Guessed soon', 'Too easy to guess', 'Hard to guess', 'Very hard to guess'];

/** `guarded` where a second factor goes with it; `known` are fields of the same form, and `words` what else its owner is known by: they make no password better. */
export function NewPassword({ label = t('Password'), known = [], words = [], guarded = false }) {
  const [typed, type] = useState(null);
  const [score, setScore] = useState(null);
  useEffect(() => {
    if (!typed?.value) { setScore(null); return undefined; }
    const said = [...words, ...known.map((name) => typed.form.elements.namedItem(name)?.value)].filter(Boolean);
    let current = true;
    const measure = () => api.post('/login/strength', { password: typed.value, known: said }).then((strength) => current && setScore(strength.score), () => current && setScore(null));
    const timer = setTimeout(measure, PAUSE);
    return () => { current = false; clearTimeout(timer); };
  }, [typed?.value]);
  return html`<div><${Field} name="password" label=${label} hint=${t('{least} to 128 characters; several unrelated words make a good one', { least: guarded ? 8 : 15 })} type="password" minlength=${guarded ? 8 : 15} maxlength="128" required autocomplete="new-password" onInput=${({ target }) => type({ value: target.value, form: target.form })} />
    <span class="strength" role="status">${score !== null && html`<meter min="0" max="4" low="3" high="3" optimum="4" value=${score} aria-hidden="true"></meter> ${t(SAID[score])}`}</span></div>`;
}
