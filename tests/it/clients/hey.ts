// A purchase with the methods that @hey-api/openapi-ts makes: `node hey.js URL`.

import { buyGames, getOrder, logIn, registerUser, searchGames } from './hey/sdk.gen.js';
import { client } from './hey/client.gen.js';
import type { OrderStatus } from './hey/types.gen.js';

const completed: OrderStatus = 'completed';
client.setConfig({ baseUrl: process.argv[2]! });
const answered = <T>({ data, error }: { data?: T; error?: unknown }): T => {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
};

const person = { name: 'Ana', email: 'ana@hey.example', password: 'fourteen kettles of rain', birth_date: '1990-05-17' };
answered(await registerUser({ body: person }));
const { access_token } = answered(await logIn({ body: { email: person.email, password: person.password } }));
client.setConfig({ auth: access_token });
const found = answered(await searchGames({ query: { q: 'ark', sort: 'cheapest' } }));
const payment_method = { type: 'card', token: 'pm_card_visa' } as const;
const { order_id } = answered(await buyGames({ body: { games: [found.items[0]!.id], payment_method } }));
for (;;) {
  const { data: order } = await getOrder({ path: { id: order_id } });
  if (order?.status === completed) break;
  await new Promise((soon) => setTimeout(soon, 50));
}
console.log('completed');
