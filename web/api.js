// The gateway's API. The session lives in cookies that scripts cannot read; what a command wrote is seen by the next
// read, because it sends the command's Consistency-Token back.

let token = null;

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    Object.assign(this, { status, code: body.code, field: body.field });
  }
}

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
});

let refreshing = null;
const refresh = () => refreshing ??= send('PUT', '/login/session').then((r) => r.ok).finally(() => { refreshing = null; });

/** The raw response; a session whose access token has run out is renewed once. */
export async function request(method, path, options = {}) {
  let response = await send(method, path, options);
  if (response.status === 401 && signedIn() && !path.startsWith('/login') && await refresh()) {
    response = await send(method, path, options);
  }
  if (!response.ok) {
    const problem = new Problem(response.status, await response.json().catch(() => ({})));
    if (response.status === 401 && !path.startsWith('/login')) remember(false);
    throw problem;
  }
  token = response.headers.get('Consistency-Token') || token;
  return response;
}

const json = async (response) => (response.status === 204 || response.status === 202 && !response.headers.get('Content-Type') ? null : response.json());
export const get = async (path, options) => json(await request('GET', path, options));
export const post = async (path, body = {}, headers) => json(await request('POST', path, { body, headers }));
export const put = async (path, body, headers) => json(await request('PUT', path, { body, headers }));
export const del = async (path, headers) => json(await request('DELETE', path, { headers }));

/** A key under which a command may be repeated. */
export const onceKey = () => ({ 'Idempotency-Key': crypto.randomUUID() });

/** Reads that follow see what this token stands for. */
export const seen = (newer) => { token = newer || token; };

export const signedIn = () => localStorage.getItem('signedIn') === '1';
export const remember = (yes) => (yes ? localStorage.setItem('signedIn', '1') : localStorage.removeItem('signedIn'));

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
  let source, retry, last = 0, closed = false;
  const open = () => {
    source = new EventSource(path);
    source.addEventListener('open', () => onOpen(true));
    source.addEventListener('notice', (event) => {
      const notice = JSON.parse(event.data);
      if (notice.sequence <= last) return;
      last = notice.sequence;
      seen(notice.token);
      onNotice(notice);
    });
    source.addEventListener('error', () => {
      onOpen(false);
      // A stream that was refused does not come back by itself: the access token may have run out.
      if (source.readyState === EventSource.CLOSED && !closed) {
        retry = setTimeout(() => get('/users/me').then(open, () => {}), 2000);
      }
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
