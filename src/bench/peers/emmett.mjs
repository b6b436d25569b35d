// Appends of one event by emmett on Postgres; prints how many a second.

import { randomUUID } from 'node:crypto';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';

const { PGUSER, PGPASSWORD, PGHOST, PGPORT, PGDATABASE, IN_FLIGHT, SECONDS, PAYLOAD } = process.env;
const store = getPostgreSQLEventStore(`postgres://${PGUSER}:${PGPASSWORD}@${PGHOST}:${PGPORT}/${PGDATABASE}`);
const data = JSON.parse(PAYLOAD);
const append = () => store.appendToStream(`game-${randomUUID()}`, [{ type: 'GameCreated', data }]);
await append();
let done = 0;
const begun = performance.now();
const elapsed = () => (performance.now() - begun) / 1000;
const client = async () => {
  while (elapsed() < Number(SECONDS)) {
    await append();
    done += 1;
  }
};
await Promise.all(Array.from({ length: Number(IN_FLIGHT) }, client));
console.log(done / elapsed());
await store.close();
