// The basket, an order as it happens, all orders, and the library.

import { html, useEffect, useState } from '../vendor/preact.js';
import * as api from '../api.js';
import { day, moment, money, t } from '../i18n.js';
import { change, closeDialog, Cover, Dialog, Failure, fold, Field, Form, PayFields, Price, readMethod, state, Sure, Title, toast, useLoaded, usePages } from '../ui.js';

/** What is no longer there, or is owned already, leaves the basket. */
async function loadBasket() {
  const found = await Promise.all(state.basket.map((id) => api.get(`/jogos/${id}`).catch((problem) => {
    if (problem.status === 404 || problem.status === 400) return null;
    throw problem;
  })));
  const games = found.filter((game) => game && !game.retired && !state.owned.has(game.id));
  const owned = found.find((game) => game && state.owned.has(game.id));
  if (owned) toast(t('You own {title} already, so it was removed from your basket.', { title: owned.title }));
  if (games.length < found.length) change({ basket: games.map((game) => game.id) });
  return games;
}

export function Basket() {
  const wanted = `${state.basket.join(' ')} ${state.basket.some((id) => state.owned.has(id))}`;
  const [games, error, again] = useLoaded(loadBasket, wanted);
  const remove = (id) => change({ basket: state.basket.filter((other) => other !== id) });
  if (!state.basket.length) return html`<${Title}>${t('Basket')}<//><p>${t('Your basket is empty.')} <a href="#/">${t('Go to the shop')}</a></p>`;
  const total = games?.reduce((sum, game) => sum + game.price.amount, 0);
  const buy = async (fields) => {
    const expected_total = { amount: total, currency: games[0].price.currency };
    const placed = api.postOnce('/jogos/compra', { games: state.basket, payment_method: readMethod(fields), expected_total });
    // Another price is shown before it is asked for.
    const { order_id } = await placed.catch((problem) => { if (problem.code === 'total_changed') again(); throw problem; });
    change({ basket: [] });
    location.hash = `#/order/${order_id}`;
  };
  return html`<${Title}>${t('Basket')}<//><${Failure} error=${error} again=${again} /><div class="split pay">
    <div class="panel"><ul class="lines">${(games || []).map((game) => html`<li key=${game.id}><${Cover} game=${game} /><a class="grow" href="#/game/${game.id}">${game.title}</a><${Price} value=${game.price} before=${game.list_price || game.price_before} />
      <button class="button quiet small" onClick=${() => remove(game.id)} aria-label=${t('remove {title}', { title: game.title })}>${t('Remove')}</button></li>`)}</ul></div>
    <div class="panel"><p class="row">${t('Total')} <strong>${games?.length ? money({ amount: total, currency: games[0].price.currency }) : '…'}</strong></p>
      ${state.user ? games?.length > 0 && html`<${Form} submit=${buy} label=${total === 0 ? t('Get it for free') : t('Buy')}><${PayFields} total=${total} /><//>` : html`<a class="button" href="#/login?next=${encodeURIComponent('#/basket')}">${t('Log in to buy')}</a>`}</div></div>`;
}

/** How far an order has come: the names of its steps, and what each of them is. */
function steps(order, payment) {
  const paid = order.status === 'completed';
  if (order.status === 'cancelled') return [['Ordered', 'done'], ['Cancelled', 'failed']];
  if (order.status === 'refunded') return [['Ordered', 'done'], ['Paid', 'done'], ['Refunded', 'done']];
  if (order.status === 'payment_failed') return [['Ordered', 'done'], ['Payment declined', 'failed'], ['In your library', '']];
  const settled = paid || payment?.status === 'succeeded';
  return [['Ordered', 'done'], ['Paying', settled ? 'done' : 'now'], ['Paid', settled ? 'done' : ''], ['In your library', paid ? 'done' : '']];
}

export function Order({ rest: [id] }) {
  const [seen, setSeen] = useState({});
  const [live, setLive] = useState(false);
  const [error, setError] = useState(null);
  useEffect(() => {
    let current = true, turn = 0;
    const read = async () => {
      const mine = turn += 1;
      try {
        const order = await api.get(`/pedidos/${id}`);
        const payment = order.payment_id && await api.get(`/pagamento/${order.payment_id}`).catch(() => null);
        // A slow answer must not overwrite a later one.
        if (current && mine === turn) { setSeen({ order, payment }); setError(null); }
      } catch (problem) { if (current && mine === turn) setError(problem); }
    };
    const close = api.notices(`/pedidos/${id}/eventos`, read, setLive);
    read();
    return () => { current = false; close(); };
  }, [id]);
  const { order, payment } = seen;
  if (!order) return html`<${Title}>${t('Order')}<//>${!error && html`<div class="waiting"></div>`}<${Failure} error=${error} again=${error?.status === 404 ? null : () => location.reload()} />`;
  const payAgain = async (fields) => {
    await api.postOnce('/pagamento', { order_id: id, payment_method: readMethod(fields) });
    setSeen({ order: { ...order, status: 'awaiting_payment' }, payment: null });
  };
  const cancel = async () => { await api.del(`/pedidos/${id}`); };
  const open = order.status === 'awaiting_payment' || order.status === 'payment_failed';
  return html`<${Title}>${t('Order')}<//>
    <div class="split pay"><div class="panel">
      <p class="row"><span class="tag">${live ? t('Live') : t('Connecting')}</span><span class="soft">${moment(order.created_at)}</span></p>
      <ol class="steps" aria-live="polite" data-status=${order.status}>${steps(order, payment).map(([name, is]) => html`<li class=${is} key=${name}>${t(name)}</li>`)}</ol>
      ${order.standing === 'suspended' && html`<p class="note warn">${t('Your bank disputes the payment. The games are out of reach until it decides.')}</p>`}
      ${order.standing === 'revoked' && html`<p class="note error">${t('Your bank took the money back, so the games are gone.')}</p>`}
      ${order.status === 'completed' && order.standing === 'good' && html`<p class="note ok">${t('Your games are in your library.')}</p><a class="button" href="#/library">${t('Go to the library')}</a><${Return} order=${order} />`}
      ${order.status === 'payment_failed' && html`<p class="note error"><strong>${t('The payment failed')}</strong>. ${t('Your bank or card did not accept it.')} ${t('Nothing was charged.')}</p>
        <h2>${t('Pay again')}</h2><${Form} submit=${payAgain} label=${t('Pay again')}><${PayFields} /><//>`}
      ${order.status === 'awaiting_payment' && payment?.next_action?.code && html`<${Pix} action=${payment.next_action} />`}
      ${open && html`<div class="row"><${Sure} label=${t('Cancel the order')} question=${t('The order is given up, and nothing is charged.')} act=${cancel} /></div>`}
    </div><div class="panel"><ul class="lines">${order.games.map((game) => html`<li key=${game.id}><${Cover} game=${game} /><a class="grow" href="#/game/${game.id}">${game.title}</a><${Returned} order=${order} game=${game} /><${Price} value=${game.price} before=${game.list_price || game.price_before} /></li>`)}</ul>
      <p class="row">${t('Total')} <strong>${money(order.total)}</strong></p></div></div>`;
}

/** The last refund of a game of an order, if there is one. */
const refundOf = (order, game) => order.refunds.findLast((refund) => refund.games.includes(game.id));

function Returned({ order, game }) {
  const refund = refundOf(order, game);
  return refund && html`<span class="tag">${t({ requested: 'Money on its way back', refunded: 'Refunded', failed: 'Refund failed' }[refund.status])}</span>`;
}

/** Games of an order that can still go back. */
function Return({ order }) {
  const [wish, setWish] = useState(null);
  const left = order.games.filter((game) => (refundOf(order, game)?.status ?? 'failed') === 'failed');
  if (!left.length) return null;
  const choose = async ({ reason }, form) => {
    const games = new FormData(form).getAll('game');
    if (!games.length) throw new Error(t('Choose at least one game.'));
    setWish(reason ? { games, reason } : { games });
  };
  const send = async () => { await api.post(`/pedidos/${order.id}/reembolso`, wish); closeDialog(); };
  return html`<details><summary>${t('Return games')}</summary><${Form} submit=${choose} label=${t('Return for a refund')} danger>
    ${left.map((game) => html`<label class="check" key=${game.id}><input type="checkbox" name="game" value=${game.id} defaultChecked=${left.length === 1} />${game.title}</label>`)}
    ${state.user?.role === 'admin' && html`<${Field} name="reason" label=${t('Reason')} maxlength="200" />`}<//></details>
    ${wish && html`<${Dialog} title=${t('Return games')} close=${() => setWish(null)}><p>${t('The games leave your library, and you get your money back.')}</p><${Form} submit=${send} label=${t('Return for a refund')} danger /><//>`}`;
}

function Pix({ action }) {
  const [now, setNow] = useState(Date.now());
  const [copied, setCopied] = useState(false);
  useEffect(() => { const tick = setInterval(() => setNow(Date.now()), 1000); return () => clearInterval(tick); }, []);
  const left = Math.max(0, Math.round((new Date(action.expires_at) - now) / 1000));
  const copy = () => navigator.clipboard?.writeText(action.code).then(() => setCopied(true), () => {});
  return html`<div class="note"><h2>${t('Pay with Pix')}</h2><p>${t("Copy the code into your bank's app.")}</p><code class="code" id="pix">${action.code}</code>
    <p class="row"><button class="button small" onClick=${copy}>${copied ? t('Copied') : t('Copy code')}</button>
    ${action.expires_at && html`<span class="soft">${t('It expires in {time}.', { time: `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}` })}</span>`}</p></div>`;
}

export function Orders() {
  const [orders, error, more, again] = usePages('/pedidos?mine=true&limit=50');
  return html`<${Title}>${t('Orders')}<//><${Failure} error=${error} again=${again} />
    ${orders?.length === 0 && html`<p>${t('You have no orders yet.')} <a href="#/">${t('Go to the shop')}</a></p>`}
    ${orders?.length > 0 && html`<div class="panel"><ul class="lines">${orders.map((order) => html`<li key=${order.id}><a class="grow" href="#/order/${order.id}">${order.games.map((game) => game.title).join(', ')}</a><span class="tag">${t(order.status)}</span><span class="soft">${moment(order.created_at)}</span><${Price} value=${order.total} /></li>`)}</ul></div>`}
    ${more && html`<p><button class="button quiet" id="more" onClick=${more}>${t('Show more')}</button></p>`}`;
}

export function Library() {
  const [shelf, error, again] = useLoaded(() => api.all('/biblioteca'), `library ${state.owned.size}`);
  const [text, setText] = useState('');
  const shown = (shelf || []).filter((entry) => fold(entry.game.title).includes(fold(text)));
  return html`<${Title}>${t('Library')}<//><${Failure} error=${error} again=${again} />
    ${shelf?.length === 0 && html`<p>${t('Your library is empty. The shop is one click away.')} <a href="#/">${t('Go to the shop')}</a></p>`}
    ${shelf?.length > 0 && html`<p><label for="shelf">${t('Search the library')}</label><input id="shelf" type="search" value=${text} onInput=${(event) => setText(event.target.value)} /></p>
    ${shown.length === 0 && html`<p>${t('No games match. Try fewer filters or another word.')}</p>`}<ul class="grid">${shown.map(({ game, acquired_at }) => html`<li class="game" key=${game.id}><${Cover} game=${game} /><div><a href="#/game/${game.id}">${game.title}</a><span class="genre">${t('Since {date}', { date: day(acquired_at) })}</span></div></li>`)}</ul>`}`;
}
