// Says which changes of an API break its clients: breaking.js BEFORE AFTER. Ends with 1 where there are any.
import { readFileSync } from 'node:fs';
import { apiCompare } from 'api-smart-diff';

const [before, after] = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, 'utf8')));
// Three that the library lets pass: methods of clients are named after operation ids, another type is read by none, and what a
// closed body no longer has is refused.
const isRenamed = ({ action, path }) => action === 'replace' && path.at(-1) === 'operationId';
const isRetyped = ({ action, path }) => action === 'replace' && path.at(-1) === 'type' && path.at(-3) === 'properties';
const isRefused = ({ action, path }) => action === 'remove' && path.at(-2) === 'properties'
  && path.slice(0, -2).reduce((part, name) => part?.[name], after)?.additionalProperties === false;
const breaking = apiCompare(before, after).diffs
  .filter((change) => change.type === 'breaking' || isRenamed(change) || isRetyped(change) || isRefused(change));
for (const { action, path, description } of breaking) console.log(`${description || action} (${path.join('/')})`);
process.exitCode = breaking.length ? 1 : 0;
