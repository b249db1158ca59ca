// The types are those of the OpenAPI description. "npm run generate" writes them anew.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript';
import { Cluster, Daemon } from './daemon.js';

const file = new URL('../../src/schema.ts', import.meta.url);

/**
 * Leaves out what is no type: words, since a type does not change when a sentence does, and rules of which
 * members go together, which TypeScript would make `unknown` of.
 */
function typesOnly(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(typesOnly);
  if (value === null || typeof value !== 'object') return value;
  const leaveOut = ['summary', 'example', 'examples', ...('properties' in value ? ['allOf', 'anyOf', 'oneOf'] : [])];
  const kept = Object.entries(value).filter(([name, v]) => !leaveOut.includes(name) && !(name === 'description' && typeof v === 'string'));
  return Object.fromEntries(kept.map(([name, v]) => [name, typesOnly(v)]));
}

test('the types are those of the description', async () => {
  const cluster = new Cluster();
  try {
    const { url } = await Daemon.start(cluster);
    const doc = typesOnly(await (await fetch(`${url}/openapi.json`)).json()) as OpenAPI3;
    const text = `// Made from /openapi.json by openapi-typescript: see test/schema.test.ts.\n${astToString(await openapiTS(doc))}`;
    if (process.env['REWRITE']) writeFileSync(file, text);
    assert.equal(readFileSync(file, 'utf8'), text, 'src/schema.ts is not up to date: npm run generate');
  } finally {
    await cluster.stop();
  }
});
