// A purchase with openapi-typescript's types: `node fetch.js URL`.

import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

type Status = components['schemas']['OrderStatus'];
const completed: Status = 'completed';

const shop = createClient<paths>({ baseUrl: process.argv[2]! });
const answered = <T>({ data, error }: { data?: T; error?: unknown }): T => {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
};

const person = { name: 'Ana', email: 'ana@fetch.example', password: 'fourteen kettles of rain', birth_date: '1990-05-17' };
answered(await shop.POST('/users', { body: person }));
const tokens = answered(await shop.POST('/login/auth', { body: { email: person.email, password: person.password } }));
const headers = { Authorization: `Bearer ${tokens.access_token}` };
const found = answered(await shop.GET('/jogos/busca', { params: { query: { q: 'ark', sort: 'cheapest' } } }));
const games = [found.items[0]!.id];
const payment_method = { type: 'card', token: 'pm_card_visa' } as const;
const { order_id } = answered(await shop.POST('/jogos/compra', { headers, body: { games, payment_method } }));
for (;;) {
  const { data: order } = await shop.GET('/pedidos/{id}', { headers, params: { path: { id: order_id } } });
  if (order?.status === completed) break;
  await new Promise((soon) => setTimeout(soon, 50));
}
console.log('completed');
