// Holds a live daemon against its own description: the document is valid OpenAPI 3.1, its examples
// keep to its schemas, and what it answers to generated requests, valid and broken ones, is as
// described. SEED=7 makes other requests; RUNS is how many of each sort there are for an operation.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import fc from 'fast-check';
import { startDaemon } from './daemon.mjs';
import { Pool, Requests } from './requests.mjs';
import { Schemas } from './schema.mjs';

const seed = Number(process.env.SEED || 1);
const runs = Number(process.env.RUNS || 30);
const timeLimit = 20_000; // of the requests of one operation

let daemon, doc, schemas;
const pool = new Pool();

// What is there before, at a name that requests use often: so reads of every type find something.
const contents = `{"ops":[{"bounded":"a","inc":9},{"counter":"a","inc":1},{"flag":"a","enable":true},{"list":"a","insert":[1,2,3]},
  {"register":"a","value":1},{"set":"a","add":["a"]},{"map":"a","path":["a"],"value":1}]}`;

before(async () => {
  daemon = await startDaemon();
  doc = JSON.parse((await daemon.request({ method: 'GET', target: '/openapi.json' })).body);
  schemas = new Schemas(doc);
  const created = await daemon.request({ method: 'PUT', target: '/v1/ns/memory', headers: { 'Content-Type': 'application/json' }, body: '{"storage":"memory"}' });
  assert.equal(created.status, 201);
  for (const ns of ['default', 'memory']) {
    const res = await daemon.request({ method: 'POST', target: `/v1/ns/${ns}/batch`, headers: { 'Content-Type': 'application/json' }, body: contents });
    assert.equal(res.status, 200, res.body.toString());
  }
  console.log(`requests are made from SEED=${seed}; the same again: SEED=${seed} test/e2e.sh openapi`);
});
after(() => daemon.stop());

const operations = () => Object.entries(doc.paths).flatMap(([pattern, item]) => Object.entries(item).map(([method, op]) => ({ pattern, method, op })));

test('the document is OpenAPI 3.1', async () => {
  const result = await new Validator().validate(structuredClone(doc));
  assert.ok(result.valid, JSON.stringify(result.errors, null, 1)?.slice(0, 2000));
  assert.ok(operations().length > 30, 'hardly any operations');
});

test('examples keep to their schemas', () => {
  let seen = 0;
  for (const { pattern, method, op } of operations()) {
    const base = ['paths', pattern, method];
    (op.parameters ?? []).forEach((p, i) => {
      seen++;
      assert.equal(schemas.errors([...base, 'parameters', i, 'schema'], p.example), undefined, `${op.operationId}, ${p.name}`);
    });
    const contents = [[...base, 'requestBody', 'content'], ...Object.keys(op.responses).map((s) => where(op.responses[s], [...base, 'responses', s], 'content'))];
    for (const content of contents) {
      for (const [media, { examples }] of Object.entries(schemas.at(content) ?? {})) {
        for (const [name, example] of Object.entries(examples ?? {})) {
          seen++;
          assert.equal(schemas.errors([...content, media, 'schema'], example.value), undefined, `${op.operationId}, ${media}, ${name}`);
        }
      }
    }
  }
  assert.ok(seen > 100, `${seen} examples`);
});

test('replies are as described', async (t) => {
  // Removals come last, that of the namespace behind all: before them requests meet something.
  const order = ['post', 'put', 'patch', 'get', 'delete'];
  const rank = ({ method, op }) => (op.operationId === 'drop-namespace' ? order.length : order.indexOf(method));
  for (const { pattern, method, op } of operations().sort((a, b) => rank(a) - rank(b))) {
    const requests = new Requests(schemas, pool, pattern, method, op);
    await t.test(`${method.toUpperCase()} ${pattern}`, async () => {
      let granted = 0;
      await property(requests.valid(), async (r) => {
        const reply = await send(r);
        checkValid(r, reply);
        if (reply.status < 400) granted++;
      });
      assert.ok(granted > 0 || byChance(pattern, op), 'no request was granted');
      await property(requests.broken(), async (r) => {
        const reply = await send(r);
        assert.ok([...r.want, ...otherRefusals].includes(reply.status), `${reply.status}, not ${r.want}: ${reply.body.toString().slice(0, 400)}`);
      });
    });
  }
});

// byChance names the operations of which no generated request need be granted. No text is the address of a
// peer, or the id of a replica, and none is to be dialled or retired here; an id and its list seldom meet.
const byChance = (pattern, op) => ['add-peer', 'retire-replica'].includes(op.operationId) || pattern.includes('{item}');

// What a request may be refused for besides what was broken in it: names, cursors, tokens and
// conditions that the daemon knows nothing of, and no networking.
const otherRefusals = [400, 403, 404, 412, 503];

async function property(arbitrary, check) {
  await fc.assert(fc.asyncProperty(arbitrary, check), { seed, numRuns: runs, interruptAfterTimeLimit: timeLimit, maxSkipsPerRun: 1000, errorWithCause: false });
}

// send sends a request and checks what holds for every reply.
async function send(r) {
  r.sent = r.head();
  const stream = /event-stream|ndjson/.test(r.sent.headers.Accept ?? '') && r.op.accepts.length > 1;
  r.body = pool.fill(r.body);
  const reply = await daemon.request({ method: r.op.method.toUpperCase(), ...r.sent, body: r.body, stream });
  assert.notEqual(reply.status, 500, reply.body.toString());
  assert.ok(!reply.body.includes('urn:anabranch:problem:internal"') || r.op.op.operationId === 'get-openapi', reply.body.toString());
  // A path that was broken may be no route at all.
  if (!/no such resource/.test(reply.body)) checkReply(r.op, reply);
  const text = reply.body.toString();
  pool.add('token', reply.headers['anabranch-context']);
  pool.add('etag', reply.headers.etag);
  for (const [, ids] of text.matchAll(/"(?:inserted":\[|id":)("[^\]},]+)/g)) ids.split(',').forEach((id) => pool.add('item', JSON.parse(id)));
  for (const [, cursor] of text.matchAll(/"(?:next|feed|cursor)":"([^"]+)"/g)) pool.add('cursor', cursor);
  return reply;
}

const ofEveryReply = new Set(['content-type', 'content-length', 'cache-control', 'date', 'connection', 'keep-alive', 'transfer-encoding']);

function where(response, path, member) {
  return response.$ref ? [...response.$ref.slice(2).split('/'), member] : [...path, member];
}

function checkReply({ base, op }, reply) {
  const response = op.responses[reply.status];
  const text = reply.body.toString();
  assert.ok(response, `the status ${reply.status} is not described: ${text.slice(0, 400)}`);
  const path = [...base, 'responses', String(reply.status)];
  const headers = schemas.at(where(response, path, 'headers')) ?? {};
  const described = new Map(Object.entries(headers).map(([n, h]) => [n.toLowerCase(), h]));
  for (const name of Object.keys(reply.headers).filter((n) => !ofEveryReply.has(n))) {
    assert.ok(described.has(name), `the header ${name} is not described with ${reply.status}`);
  }
  const content = where(response, path, 'content');
  const media = reply.headers['content-type'];
  if (media === undefined) {
    assert.equal(text, '');
    assert.equal(schemas.at(content), undefined, 'a body is described');
    return;
  }
  assert.ok(schemas.at([...content, media]), `the media type ${media} is not described with ${reply.status}`);
  for (const value of bodies(media, text, reply.complete)) {
    const at = media === 'text/event-stream' ? [...content, 'application/x-ndjson'] : [...content, media];
    assert.equal(schemas.errors([...at, 'schema'], value), undefined, text.slice(0, 400));
  }
}

// bodies takes a body apart: one JSON text, or one for each line or event that is complete.
function bodies(media, text, complete) {
  switch (media) {
    case 'application/x-ndjson':
      return text.split('\n').slice(0, -1).map((line) => JSON.parse(line));
    case 'text/event-stream':
      return text.split('\n\n').slice(0, -1).filter((e) => !e.startsWith(':')).map((e) => JSON.parse(/^data: (.*)$/m.exec(e)[1]));
  }
  assert.ok(complete);
  return [JSON.parse(text)];
}

// What a request that keeps to the description may still be refused for: rules between its parts.
const rules = /an id of an item|either ttl or expires|at most 100 years|has no meaning here|only for|prefix is for|say where to begin|timeout is for polls|at most \d+ (bytes|fields)|cannot be dropped|exists with the other|names? .*underscore|multiaddr|bad-cursor|bad-context|name[ds]* .*by 1 to 63/;

function checkValid(r, reply) {
  assert.ok(![405, 406, 415].includes(reply.status), `${reply.status} ${reply.body}`);
  if (reply.status === 400) assert.ok(rules.test(reply.body), `a request that keeps to the description: ${reply.body}`);
}
