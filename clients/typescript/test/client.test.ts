import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, isProblem, Problem, Session, type Change, type Namespace } from '../src/index.js';
import { Cluster, Daemon } from './daemon.js';

const cluster = new Cluster();
let a: Daemon, b: Daemon;
let ns: Namespace;

before(async () => {
  a = await Daemon.start(cluster);
  b = await Daemon.start(cluster, '--peer', a.peer);
  ns = new Client(a.url).namespace();
});
after(() => cluster.stop());

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

test('counters', async () => {
  const c = ns.counter('visits');
  assert.equal(await c.get(), undefined);
  assert.equal(await c.inc(), 1);
  assert.equal(await c.inc(-3), -2);
  assert.equal(await c.reset(), 0);
  assert.equal(await c.get(), undefined);
  assert.equal(await c.inc(9007199254740991), 9007199254740991);
  assert.equal(await c.inc(), 9007199254740992n);
  assert.equal(await c.inc(9007199254740993n), 18014398509481985n);
  assert.equal(await c.get(), 18014398509481985n);
  await assert.rejects(c.inc(9223372036854775807n), (err) => isProblem(err, 'overflow'));
  assert.throws(() => c.inc(0.5), RangeError);
  await c.delete();
  assert.equal(await c.get(), undefined);
});

test('bounded counters', async () => {
  const seats = ns.bounded('seats');
  assert.deepEqual(await seats.inc(10), { value: 10, rights: 10 });
  assert.deepEqual(await seats.inc(-3), { value: 7, rights: 7 });
  assert.deepEqual(await seats.get(), { value: 7, rights: 7 });
  assert.equal(await seats.ask(7), true);
  await assert.rejects(seats.inc(-8), (err) => isProblem(err, 'insufficient-rights') && err.body.rights === 7);
});

test('flags', async () => {
  const f = ns.flag('beta');
  assert.equal(await f.get(), false);
  await f.enable();
  assert.equal(await f.get(), true);
  await f.disable();
  assert.equal(await f.get(), false);
});

test('sets and their pages', async () => {
  const s = ns.set('cart');
  assert.deepEqual(await all(s.members()), []);
  assert.equal(await s.size(), 0);
  const many = Array.from({ length: 2500 }, (_, i) => `m${String(i).padStart(4, '0')}`);
  for (let i = 0; i < many.length; i += 1000) assert.equal(await s.add(many.slice(i, i + 1000)), Math.min(1000, many.length - i));
  assert.deepEqual(await all(s.members()), many);
  assert.deepEqual(await all(s.members({ prefix: 'm249' })), many.slice(2490));
  assert.equal(await s.size(), 2500);
  assert.equal(await s.has('m0000'), true);
  assert.equal(await s.remove(['m0000', 'nobody']), 1);
  assert.equal(await s.has('m0000'), false);
  assert.deepEqual(await s.change({ add: ['x'], remove: ['m0001'] }), { added: 1, removed: 1 });
});

test('lists', async () => {
  const l = ns.list<string>('todo');
  assert.deepEqual(await all(l.items()), []);
  const [milk, bread] = await l.insert(['milk', 'bread']) as [string, string];
  const [eggs] = await l.insert(['eggs'], { before: bread }) as [string];
  const values = async () => (await all(l.items())).map((i) => i.value);
  assert.deepEqual(await values(), ['milk', 'eggs', 'bread']);
  await l.move(milk, { at: 'end' });
  await l.set(bread, 'rye bread');
  await l.remove(eggs);
  assert.deepEqual(await values(), ['rye bread', 'milk']);
  assert.equal((await l.item(bread))?.value, 'rye bread');
  assert.equal(await l.item(eggs), undefined);
  assert.equal(await l.size(), 2);
  await assert.rejects(l.move(eggs, { at: 'start' }), (err) => isProblem(err, 'not-found'));
  const [result] = await ns.batch([{ list: 'todo', insert: ['tea'], at: 'start' }, { list: 'todo', item: milk, delete: true }]);
  assert.equal(result?.inserted?.length, 1);
  assert.deepEqual(await values(), ['tea', 'rye bread']);
});

test('presence', async () => {
  const client = new Client(a.url);
  await client.createNamespace('live', 'memory');
  const workers = client.namespace('live').presence('workers');
  assert.deepEqual(await all(workers.members()), []);
  await workers.announce('w1', { port: 8080 });
  await workers.announce('w2', null, { ttl: '1h' });
  assert.deepEqual((await all(workers.members())).map((m) => m.member), ['w1', 'w2']);
  assert.deepEqual((await workers.get('w1'))?.map((v) => v.value), [{ port: 8080 }]);
  await workers.withdraw('w1');
  assert.equal(await workers.get('w1'), undefined);
  await client.dropNamespace('live');
  await assert.rejects(ns.presence('workers').announce('w1', 1), (err) => isProblem(err, 'forbidden'));
});

test('names', async () => {
  const s = ns.set('a/b %2F?#é\u0000');
  await s.add(['c/d', '\u{1F600}']);
  assert.equal(await s.has('c/d'), true);
  assert.equal(await s.has('\u{1F600}'), true);
  await s.delete();
  await assert.rejects(ns.set('..').size(), RangeError);
});

test('registers, siblings and conditions', async () => {
  const r = ns.register<{ n: number }>('r');
  assert.equal(await r.get(), undefined);
  const nothing = new Session();
  await ns.register('r').state({ session: nothing }); // a token of now, which covers no value of r
  await r.set({ n: 1 });
  await r.set({ n: 2 }, { session: nothing });
  const state = await r.state();
  assert.deepEqual(state?.values, [{ n: 2 }, { n: 1 }]);
  assert.deepEqual(await all(ns.conflicts()), [{ type: 'register', key: 'r' }]);
  await r.set({ n: 3 });
  assert.deepEqual((await r.state())?.values, [{ n: 3 }]);
  await assert.rejects(r.set({ n: 4 }, { ifMatch: state!.etag }), (err) => isProblem(err, 'precondition-failed'));
  await assert.rejects(r.set({ n: 4 }, { ifAbsent: true }), (err) => isProblem(err, 'precondition-failed'));
  await r.set({ n: 4 }, { ifMatch: (await r.state())!.etag });
});

test('maps', async () => {
  const m = ns.map('ada');
  assert.equal(await m.get(), undefined);
  assert.deepEqual(await m.change([{ path: ['name'], value: 'Ada' }, { path: ['visits'], inc: 3 }, { path: ['tags'], add: ['x'] }, { path: ['address', 'city'], value: 'Delft' }]),
    { name: 'Ada', visits: 3, tags: ['x'], address: { city: 'Delft' } });
  assert.deepEqual(await m.merge({ address: { city: null, zip: '2611' } }), { name: 'Ada', visits: 3, tags: ['x'], address: { zip: '2611' } });
  assert.equal((await m.field(['address', 'zip']))?.value, '2611');
  await m.setField(['name'], 'Ada L.');
  await m.deleteField(['address']);
  assert.deepEqual(await m.get(), { name: 'Ada L.', visits: 3, tags: ['x'] });
  assert.deepEqual(await all(m.pages(1)), [{ name: 'Ada L.' }, { tags: ['x'] }, { visits: 3 }]);
  assert.equal((await m.typed())?.fields.length, 3);
  await assert.rejects(m.merge({ visits: 1 }), (err) => isProblem(err, 'wrong-type-op'));
});

test('what ends by itself', async () => {
  const expires = new Date('2099-01-31T11:00:00Z');
  await ns.register('session').set('secret', { expires });
  assert.deepEqual((await ns.register('session').state())?.expires, expires);
  await ns.flag('sale').enable({ ttl: '15m' });
  assert.equal(await ns.set('online').add('ada', { ttl: '90s' }), 1);
  await ns.map('shop').change([{ path: ['offer'], value: 7, ttl: '36h' }]);
  await ns.register('session').set('old', { expires: new Date(1_000_000_000_000) });
  assert.equal(await ns.register('session').get(), undefined);
  await assert.rejects(ns.flag('sale').enable({ ttl: '1s', expires }), (err) => isProblem(err, 'bad-request'));
});

test('batches, keys and export', async () => {
  const client = new Client(a.url);
  await client.createNamespace('many', 'memory');
  const many = client.namespace('many');
  assert.deepEqual(await many.batch([{ counter: 'n', inc: 9007199254740992n }, { set: 's', add: ['x', 'y'] }, { register: 'r', value: null }, { map: 'm', path: ['p'], value: 1 }],
    { if: [{ set: 's', absent: true }] }), [{ value: 9007199254740992n }, { added: 2, removed: 0 }, {}, {}]);
  await assert.rejects(many.batch([{ counter: 'n', inc: 1 }], { if: [{ set: 's', absent: true }] }), (err) => isProblem(err, 'precondition-failed'));
  assert.deepEqual(await all(many.keys()), [{ type: 'counter', key: 'n' }, { type: 'map', key: 'm' }, { type: 'register', key: 'r' }, { type: 'set', key: 's' }]);
  assert.deepEqual(await all(many.keys({ type: 'set', prefix: 's' })), [{ type: 'set', key: 's' }]);
  assert.deepEqual(await all(many.export()), [{ counter: 'n', inc: '9007199254740992' }, { map: 'm', path: ['p'], value: 1 }, { register: 'r', value: null }, { set: 's', add: ['x', 'y'] }]);
  assert.deepEqual((await client.namespaces()).map((n) => n.name), ['default', 'many']);
  await client.dropNamespace('many');
  await assert.rejects(all(many.keys()), (err) => isProblem(err, 'namespace-not-found'));
});

test('bulks, also those that are cut off', async () => {
  const client = new Client(a.url);
  await client.createNamespace('bulk', 'memory');
  const target = client.namespace('bulk');
  const ops = Array.from({ length: 12_000 }, (_, i) => ({ counter: `c${i % 100}`, inc: 1 }));
  let posts = 0;
  const cutting: typeof fetch = async (input, init) => {
    const res = await fetch(input, init);
    if (!String(input).endsWith('/bulk') || ++posts !== 2) return res;
    await res.text(); // it was done, and the reply is lost on the way
    return new Response('{"line":1,"status":200}\n', res);
  };
  const results = await all(new Client(a.url, { fetch: cutting }).namespace('bulk').bulk(ops));
  assert.equal(posts, 4);
  assert.deepEqual(results.map((r) => r.index), ops.map((_, i) => i));
  assert.equal(results.filter((r) => r.replayed).length, 5000);
  assert.equal(await target.counter('c7').get(), 120);

  const mixed = await all(target.bulk([{ counter: 'n', inc: 2n ** 53n }, { counter: 'n', value: 1 }, { set: 's', add: ['x'] }]));
  assert.deepEqual([mixed[0]?.value, mixed[1]?.problem?.kind, mixed[2]?.added], [2n ** 53n, 'wrong-type-op', 1]);

  await client.createNamespace('copy', 'memory');
  const copy = client.namespace('copy');
  assert.ok((await all(copy.bulk(target.export()))).every((r) => !r.problem));
  assert.deepEqual(await all(copy.export()), await all(target.export()));
  await client.dropNamespace('bulk');
  await client.dropNamespace('copy');
});

test('a session reads its own writes at another daemon', async () => {
  const session = new Session();
  const at = (d: Daemon, s: Session) => new Client(d.url).namespace('default', { session: s, wait: 20 });
  for (let i = 0; i < 5; i++) {
    await at(a, session).set('shared').add(`from a ${i}`);
    const later = new Session(JSON.parse(JSON.stringify(session)) as Record<string, string[]>);
    assert.equal(await at(b, later).set('shared').has(`from a ${i}`), true);
  }
});

test('a session covers requests that run at the same time', async () => {
  const session = new Session();
  const at = (d: Daemon) => new Client(d.url).namespace('default', { session, wait: 20 });
  await Promise.all([0, 1, 2, 3].map((i) => at(i % 2 ? a : b).set('same time').add(String(i))));
  assert.ok(session.tokens('default').length >= 1);
  assert.equal(await at(a).set('same time').size(), 4);
  assert.equal(session.tokens('default').length, 1);
});

test('acks and the barrier', async () => {
  await ns.counter('acks').inc(1, { acks: 1, wait: 20 });
  assert.equal(await ns.sync({ wait: 20 }), true);
  assert.equal(await new Client(b.url).namespace().counter('acks').get(), 1);
  assert.equal((await ns.syncStatus()).peers.length, 1);
  assert.equal((await new Client(a.url).status()).namespaces.length, 1);
  assert.equal((await new Client(a.url).peers()).length, 1);
});

test('a lost reply does not count twice', async () => {
  let sent = 0;
  const losing: typeof fetch = async (input, init) => {
    const res = await fetch(input, init);
    if (++sent === 1) throw new TypeError('the reply was lost');
    return res;
  };
  const c = new Client(a.url, { fetch: losing }).namespace().counter('once');
  assert.equal(await c.inc(5), 5);
  assert.equal(sent, 2);
  assert.equal(await c.get(), 5);
});

test('what fails for good is not tried again, and an abort ends a call', async () => {
  let sent = 0;
  const counting: typeof fetch = (input, init) => { sent++; return fetch(input, init); };
  const client = new Client(a.url, { fetch: counting });
  await assert.rejects(all(client.namespace('nope').keys()), (err) => err instanceof Problem && err.status === 404 && isProblem(err));
  assert.equal(sent, 1);
  await assert.rejects(client.namespace().counter('c').get({ signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  await assert.rejects(new Client('http://127.0.0.1:1', { retries: 1 }).status(), TypeError);
});

test('the feed goes on through cuts', async () => {
  let cuts = 0;
  const cutting: typeof fetch = async (input, init) => {
    const res = await fetch(input, init);
    if (!String(input).includes('/changes') || !res.body) return res;
    let chunks = 0;
    const cut = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, out) {
        if (++chunks > 2) { cuts++; out.error(new TypeError('cut')); } else out.enqueue(chunk);
      },
    });
    return new Response(res.body.pipeThrough(cut), res);
  };
  const stop = new AbortController();
  const seen = new globalThis.Map<string, Change>();
  const feed = new Client(a.url, { fetch: cutting }).namespace().changes({ since: 'start', type: 'counter', prefix: 'feed', values: true, signal: stop.signal });
  const reading = (async () => {
    for await (const change of feed) {
      seen.set(change.key, change);
      if (seen.size === 5) stop.abort();
    }
  })();
  for (let i = 0; i < 5; i++) {
    await ns.counter(`feed${i}`).inc(2n ** 53n);
    while (!seen.has(`feed${i}`) && !stop.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await reading;
  assert.equal(seen.get('feed4')?.value, 2n ** 53n);
  assert.ok(cuts > 0, 'nothing was cut');
});

test('a cursor that is too old leads to a list, and on from there', async () => {
  const client = new Client(a.url);
  const renew = async () => {
    await client.dropNamespace('feed');
    await client.createNamespace('feed', 'memory');
  };
  await renew();
  const feed = client.namespace('feed');
  await feed.register('old').set(1);
  const stop = new AbortController();
  const first = (await feed.changes({ since: 'start', signal: stop.signal }).next()).value as Change;
  assert.equal(first.key, 'old');
  stop.abort();
  await renew();
  await feed.register('kept').set(1);

  await assert.rejects(feed.changes({ since: first.cursor }).next(), (err) => isProblem(err, 'cursor-expired'));
  let listed: string[] = [];
  const again = feed.changes({ since: first.cursor, resync: async (keys) => { listed = (await all(keys)).map((k) => k.key); } });
  const next = again.next();
  while (listed.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await feed.register('new').set(1);
  assert.deepEqual(listed, ['kept']);
  assert.equal(((await next).value as Change).key, 'new');
  await again.return();
});
