// Generators of requests for an operation of the description.
import fc from 'fast-check';
import { name } from './schema.mjs';

// A pool keeps what replies have handed out, so that later requests can send it back.
export class Pool {
  values = { token: [], etag: [], cursor: [], item: [] };
  add(kind, value) {
    if (!value) return;
    this.values[kind].push(value);
    if (this.values[kind].length > 16) this.values[kind].shift();
  }
  // fill puts ids of items in place of those that a generated body has.
  fill(body) {
    const { item } = this.values;
    return body?.replaceAll(/"item(\d+)"/g, (text, n) => (item.length > 0 ? JSON.stringify(item[n % item.length]) : text));
  }
  // pick generates one of them, or junk. It is chosen when the request is sent: the seed decides
  // by a number, so that a run can be repeated.
  pick(kind) {
    const junk = kind === 'etag' ? ['*', '"x"', 'W/"x", "y"'] : ['junk', 'AAAA', '_'];
    return fc.oneof({ weight: 3, arbitrary: fc.nat(15).map((n) => () => this.values[kind].at(n % Math.max(1, this.values[kind].length)) ?? junk[0]) },
      { weight: 1, arbitrary: fc.constantFrom(...junk).map((s) => () => s) });
  }
}

// The media type of bodies that are streams of lines.
const lines = 'application/x-ndjson';

// escape writes a name as one segment. Dots are escaped since "." and ".." alone would be refused.
const escape = (s) => encodeURIComponent(s).replaceAll('.', '%2E');

// sometimes generates now and then: each parameter that is junk is reason enough to refuse a request.
const sometimes = (value) => fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

// special are parameters that the schema alone would let wait too long, or would never hit.
const special = (pool) => ({
  'path ns': fc.oneof({ weight: 9, arbitrary: fc.constantFrom('default', 'memory') }, { weight: 1, arbitrary: fc.constantFrom('nope', '_system') }).map((s) => () => s),
  'path path': fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => () => names.map(escape).join('/')),
  'path item': pool.pick('item'),
  'query timeout': fc.constantFrom('0s', '5ms').map((s) => () => s),
  'query cursor': pool.pick('cursor'),
  'query since': fc.oneof(fc.constantFrom('now', 'start').map((s) => () => s), pool.pick('cursor'), pool.pick('token')),
  'query ttl': fc.constantFrom('1h', '30s').map((s) => () => s),
  'query expires': fc.constant('2999-01-02T03:04:05Z').map((s) => () => s),
  'header Prefer': fc.constantFrom('wait=0', 'respond-async', 'wait=0, return=minimal').map((s) => () => s),
  'header Anabranch-Context': pool.pick('token'),
  'header If-Match': pool.pick('etag'),
  'header If-None-Match': pool.pick('etag'),
  'header Last-Event-ID': pool.pick('cursor'),
  'header Idempotency-Key': fc.constantFrom('k1', 'k2', 'k3').map((s) => () => s),
});

// Request is one that was generated. Its head is made when it is sent, of what the pool has then.
class Request {
  constructor(op, body, head, want) {
    Object.assign(this, { op, body, head, want });
  }

  [fc.toStringMethod]() {
    return `${this.op.method.toUpperCase()} ${this.sent?.target ?? this.op.pattern} ${JSON.stringify(this.sent?.headers)} ${this.body?.slice(0, 1000)}`;
  }
}

// Requests generates for one operation.
export class Requests {
  constructor(schemas, pool, pattern, method, op) {
    Object.assign(this, { schemas, pool, pattern, method, op, base: ['paths', pattern, method] });
    this.parameters = (op.parameters ?? []).map((p, i) => ({ ...p, path: [...this.base, 'parameters', i, 'schema'] }));
    this.medias = Object.keys(op.requestBody?.content ?? {});
    this.accepts = Object.values(op.responses).flatMap((r) => Object.keys(schemas.resolve(r).content ?? {})).filter((m) => m !== 'application/problem+json');
  }

  // valid generates requests that keep to the description.
  valid() {
    const values = {};
    for (const p of this.parameters) {
      const value = special(this.pool)[`${p.in} ${p.name}`] ?? this.schemas.valid(p.path).map((v) => () => String(v));
      values[`${p.in} ${p.name}`] = p.required || p.name === 'timeout' ? value : sometimes(value);
    }
    return fc.record({
      values: fc.record(values),
      accept: this.accepts.length > 1 ? fc.constantFrom(...new Set(this.accepts)) : fc.constant(undefined),
      body: this.medias.length > 0 ? fc.oneof(...this.medias.map((media) => this.#body(media))) : fc.constant(undefined),
    }).map((parts) => this.#build(parts));
  }

  #body(media) {
    const value = this.schemas.valid([...this.base, 'requestBody', 'content', media, 'schema']);
    if (media !== lines) return value.map((v) => ({ media, text: JSON.stringify(v) }));
    return fc.array(value, { maxLength: 5 }).map((list) => ({ media, text: list.map((v) => `${JSON.stringify(v)}\n`).join('') }));
  }

  // build makes a request that is complete but for what the pool has when it is sent.
  #build({ values, accept, body }) {
    const headers = {};
    if (accept) headers.Accept = accept;
    if (body) headers['Content-Type'] = body.media;
    const of = (where) => this.parameters.filter((p) => p.in === where && values[`${where} ${p.name}`]);
    return new Request(this, body?.text, () => ({
      target: this.#target(of, values),
      headers: { ...headers, ...Object.fromEntries(of('header').map((p) => [p.name, values[`header ${p.name}`]()])) },
    }));
  }

  #target(of, values) {
    const path = this.pattern.replaceAll(/\{(\w+)\}/g, (_, n) => (n === 'path' ? values[`path ${n}`]() : escape(values[`path ${n}`]())));
    // A stream and a poll differ in what they take.
    const query = of('query').map((p) => `${p.name}=${escape(values[`query ${p.name}`]())}`).join('&');
    return query ? `${path}?${query}` : path;
  }

  // broken generates requests with one thing that the description does not allow, and the statuses
  // that may be the answer to that. What else is wrong may be told first.
  broken() {
    const ways = [
      fc.constantFrom('bogus=1', 'bogus', 'limit=0&limit=1', '%ff=%ff').map((q) => ({ query: q, want: [400] })),
      fc.constantFrom('%FF', '%C0%80', '', '.', '..').map((segment) => ({ segment, want: [400, 404] })),
      fc.constantFrom('wait=x', 'wait=-1', 'wait=').map((v) => ({ header: ['Prefer', v], want: [400] })),
      fc.constantFrom('If-Modified-Since', 'If-Unmodified-Since', 'If-Range').map((n) => ({ header: [n, 'x'], want: [400] })),
    ];
    if (this.accepts.length > 0) ways.push(fc.constantFrom('text/html', 'application/json;q=0, text/plain').map((v) => ({ header: ['Accept', v], want: [406] })));
    for (const p of this.parameters.filter((q) => q.in === 'query' && (q.schema.enum || q.schema.type === 'integer'))) {
      ways.push(fc.constantFrom('', '0', '-1', 'x', '1.5', '99999999999999999999x').map((v) => ({ replace: [p.name, v], want: [400] })));
    }
    if (this.medias.length === 0) ways.push(fc.constant({ body: ['application/json', '{}'], want: [400] }));
    // A line that is wrong is told in the reply, and refuses no request.
    for (const media of this.medias) {
      ways.push(fc.constantFrom('text/plain', 'application/x-www-form-urlencoded', `${media}; charset=latin1`, 'nonsense').map((m) => ({ body: [m, '{}'], want: [415] })));
    }
    for (const media of this.medias.filter((m) => m !== lines)) {
      const at = [...this.base, 'requestBody', 'content', media, 'schema'];
      if (!this.schemas.takesAll(at)) ways.push(this.schemas.invalid(at).map((v) => ({ body: [media, JSON.stringify(v)], want: [400, 413, 422] })));
      ways.push(fc.constantFrom('', '{', '{"a":1', '[1,]', '{}{}', '\ufeff{}', '{"a":1,"a":2}', '"\\ud800"').map((b) => ({ body: [media, b], want: [400, 413, 422] })));
      ways.push(fc.constant({ body: [media, ' '.repeat(2 << 20) + '1'], want: [413] }));
    }
    return fc.tuple(this.valid(), fc.oneof(...ways)).map(([r, way]) => new Request(this, way.body ? way.body[1] : r.body, () => spoil(r.head(), way), way.want));
  }
}

function spoil({ target, headers }, way) {
  headers = { ...headers };
  if (way.body) headers['Content-Type'] = way.body[0];
  if (way.header) headers[way.header[0]] = way.header[1];
  if (way.query) target += (target.includes('?') ? '&' : '?') + way.query;
  if (way.segment !== undefined) {
    const [path, query] = target.split('?');
    target = path.replace(/\/[^/]*$/, `/${way.segment}`) + (query ? `?${query}` : '');
  }
  if (way.replace) {
    const [path, query = ''] = target.split('?');
    const rest = query.split('&').filter((q) => q && !q.startsWith(`${way.replace[0]}=`));
    target = `${path}?${[...rest, way.replace.join('=')].join('&')}`;
  }
  return { target, headers };
}
