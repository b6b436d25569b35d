// The gateway's API. The session lives in cookies that scripts cannot read; what a command wrote is seen by the next
// read, because it sends the command's Consistency-Token back.

import { keep, recall } from './store.js';

let token = null;

/** A refusal, or no answer at all: status 0. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    // The gateway says what it means in the language of the page.
    Object.assign(this, { status, code: body.code || 'error', title: body.title, field: body.field, rule: body.errors?.[0]?.detail });
  }
}

const offline = (error) => { throw error.name === 'AbortError' ? error : new Problem(0, { code: 'offline', title: error.message }); };
const send = (method, path, { body, headers = {}, signal } = {}) => fetch(path, {
  method, signal, credentials: 'same-origin',
  headers: {
    'X-Ludoteca-Storefront': '1',
    'Accept-Language': document.documentElement.lang,
    ...(token && method === 'GET' ? { 'Consistency-Token': token } : {}),
    ...(body === undefined || typeof body === 'string' ? {} : { 'Content-Type': 'application/json' }),
    ...headers,
  },
  body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
}).catch(offline);

let refreshing = null;
// One tab at a time: a refresh token that is sent twice ends the session.
const alone = (work) => (navigator.locks ? navigator.locks.request('session', work) : work());
/** Whether the session goes on; a server that cannot say for now is an error, not an end. */
const refresh = () => refreshing ??= alone(async () => {
  if ((await send('GET', '/users/me')).ok) return true;
  const response = await send('PUT', '/login/session');
  if (response.ok || response.status === 401) return response.ok;
  throw new Problem(response.status, await response.json().catch(() => ({})));
}).finally(() => { refreshing = null; });

let onEnd = () => {};
/** What is done when the session has ended. */
export const whenEnded = (what) => { onEnd = what; };

/** The raw response; that a login is too old for something ends no session; a session whose access token has run out is renewed once; without a session, the store has just taken an old token back, so it is asked once more. */
export async function request(method, path, options = {}) {
  let response = await send(method, path, options);
  const ended = () => response.status === 401 && !path.startsWith('/login') && !response.headers.get('WWW-Authenticate')?.includes('insufficient');
  if (ended() && (!signedIn() || await refresh())) {
    response = await send(method, path, options);
  }
  if (!response.ok) {
    const problem = new Problem(response.status, await response.json().catch(() => ({})));
    if (ended() && signedIn()) { remember(false); onEnd(); }
    throw problem;
  }
  seen(response.headers.get('Consistency-Token'));
  return response;
}

const json = async (response) => (response.status === 204 || response.status === 202 && !response.headers.get('Content-Type') ? null : response.json());
export const get = async (path, options) => json(await request('GET', path, options));
export const post = async (path, body = {}, headers) => json(await request('POST', path, { body, headers }));
export const put = async (path, body, headers) => json(await request('PUT', path, { body, headers }));
export const del = async (path, headers) => json(await request('DELETE', path, { headers }));

let once = {};
/** A key under which a command may be repeated: the same for the same body, until it was answered. */
export async function postOnce(path, body) {
  const asked = JSON.stringify([path, body]);
  if (once.asked !== asked) once = { asked, key: crypto.randomUUID() };
  const answer = await post(path, body, { 'Idempotency-Key': once.key });
  once = {};
  return answer;
}

// `epoch:transaction:serial`, the later the greater.
const isLater = (one, other) => {
  const [a, b] = [one, other].map((position) => position.split(':').map(Number));
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
};
/** Reads that follow see what this token stands for. */
export const seen = (other) => { if (other && (!token || isLater(other, token) > 0)) token = other; };

// A mark of its own for each session, so that another tab notices when somebody else logs in.
export const SESSION = 'session';
export const signedIn = () => Boolean(recall(SESSION));
export const remember = (yes) => keep(SESSION, yes ? crypto.randomUUID() : null);

/** Every page of a list, up to `most` entries. */
export async function all(path, most = 1000) {
  const items = [];
  let cursor = '';
  do {
    const page = await get(`${path}${path.includes('?') ? '&' : '?'}limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor && items.length < most);
  return items;
}

/** Server-sent notices until the returned function is called; `onOpen` is told whether the line is up. */
export function notices(path, onNotice, onOpen = () => {}) {
  let source, retry, wait = 1000, last = '', closed = false;
  const again = () => { if (!closed) retry = setTimeout(() => get('/users/me').then(open, again), wait = Math.min(wait * 2, 60000)); };
  const open = () => {
    if (closed) return;
    source = new EventSource(last ? `${path}?after=${encodeURIComponent(last)}` : path);
    source.addEventListener('open', () => { wait = 1000; onOpen(true); });
    source.addEventListener('notice', (event) => {
      const notice = JSON.parse(event.data);
      last = notice.id;
      seen(notice.token);
      onNotice(notice);
    });
    source.addEventListener('error', () => {
      onOpen(false);
      // A stream that was refused does not come back by itself: the access token may have run out.
      if (source.readyState === EventSource.CLOSED) again();
    });
  };
  open();
  return () => { closed = true; clearTimeout(retry); source.close(); };
}

/** Lines of NDJSON as they come. */
export async function lines(path, onLine, signal) {
  const response = await request('GET', path, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split('\n');
    rest = parts.pop();
    parts.filter(Boolean).forEach((line) => onLine(JSON.parse(line)));
  }
}
