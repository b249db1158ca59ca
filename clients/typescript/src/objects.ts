import { readInteger, writeInteger, type Integer } from './number.js';
import { isProblem } from './problem.js';
import { segment, send, splitLifetime, type ApiRequest, type CallOptions, type Json, type LifetimeOptions, type Sender, type WriteOptions } from './request.js';
import type { components } from './schema.js';

type Schemas = components['schemas'];

/** Where objects are: a namespace at a daemon, and the options of its calls. */
export interface Place {
  readonly sender: Sender;
  readonly ns: string;
  readonly path: string;
  readonly options: CallOptions;
}

/** An object. An absent one reads as undefined, or as what its type has for nothing. */
abstract class Handle {
  constructor(protected readonly place: Place, readonly collection: string, readonly key: string) {}

  /** Writes something that may end by itself. */
  protected async put(path: string, body: Json | undefined, options: LifetimeOptions): Promise<void> {
    const { lifetime, rest } = splitLifetime(options);
    await this.send({ method: 'PUT', path, query: lifetime, ...(body === undefined ? {} : { body }), options: rest });
  }

  protected send(request: Omit<ApiRequest, 'ns'>): Promise<Response> {
    const { place } = this;
    const path = `${place.path}/${this.collection}/${segment(this.key)}${request.path}`;
    return send(place.sender, { ...request, ns: place.ns, path, options: { ...place.options, ...request.options } });
  }

  /** Returns undefined for what is absent. A namespace that is not there is a problem. */
  protected async find(request: Omit<ApiRequest, 'ns'>): Promise<Response | undefined> {
    try {
      return await this.send(request);
    } catch (err) {
      if (isProblem(err, 'not-found')) return undefined;
      throw err;
    }
  }
}

/** An object that can be deleted as a whole. */
abstract class Deletable extends Handle {
  /** Deletes what the session has seen, or what this daemon has. */
  async delete(options: WriteOptions = {}): Promise<void> {
    await this.send({ method: 'DELETE', path: '', options });
  }
}

/** An integer to which everybody adds. */
export class Counter extends Deletable {
  constructor(place: Place, key: string) { super(place, 'counters', key); }

  async get(options: CallOptions = {}): Promise<Integer | undefined> {
    const res = await this.find({ method: 'GET', path: '', options });
    return res && readInteger(((await res.json()) as Schemas['Counter']).value);
  }

  /** Adds, and returns the value at this daemon. */
  inc(amount: Integer = 1, options: WriteOptions = {}): Promise<Integer> {
    return this.#change({ inc: writeInteger(amount) }, options);
  }

  /** Takes away what the session has seen, or what this daemon has. */
  reset(options: WriteOptions = {}): Promise<Integer> {
    return this.#change({ reset: true }, options);
  }

  async #change(body: Schemas['CounterOp'], options: WriteOptions): Promise<Integer> {
    const res = await this.send({ method: 'POST', path: '', body, options });
    return readInteger(((await res.json()) as Schemas['Counter']).value);
  }
}

/** The value of a bounded counter, and how much of it may be taken at this daemon without asking others. */
export interface BoundedState {
  value: Integer;
  rights: Integer;
}

/** A counter that is never below 0. To take more than there are rights for is the problem insufficient-rights. */
export class Bounded extends Deletable {
  constructor(place: Place, key: string) { super(place, 'bounded', key); }

  async get(options: CallOptions = {}): Promise<BoundedState | undefined> {
    const res = await this.find({ method: 'GET', path: '', options });
    return res && readBounded(res);
  }

  /** Adds, or takes a negative amount. With `wait` the daemon asks others for rights first. */
  async inc(amount: Integer = 1, options: WriteOptions = {}): Promise<BoundedState> {
    return readBounded(await this.send({ method: 'POST', path: '', body: { inc: writeInteger(amount) }, options }));
  }

  /** Sees to it that so much may be taken here. It returns false when that is not so in time. */
  async ask(amount: Integer, options: WriteOptions = {}): Promise<boolean> {
    const res = await this.send({ method: 'POST', path: '', body: { ask: writeInteger(amount) }, options });
    await res.arrayBuffer();
    return res.status === 200;
  }
}

async function readBounded(res: Response): Promise<BoundedState> {
  const { value, rights } = (await res.json()) as Schemas['Bounded'];
  return { value: readInteger(value), rights: readInteger(rights) };
}

/** On, or absent. */
export class Flag extends Deletable {
  constructor(place: Place, key: string) { super(place, 'flags', key); }

  async get(options: CallOptions = {}): Promise<boolean> {
    return (await this.find({ method: 'GET', path: '', options })) !== undefined;
  }

  enable(options: LifetimeOptions = {}): Promise<void> {
    return this.put('', undefined, options);
  }

  disable(options: WriteOptions = {}): Promise<void> {
    return this.delete(options);
  }
}

/** A register as one daemon has it. */
export interface RegisterState<T extends Json = Json> {
  /** The newest value. */
  value: T;
  /** All concurrent values, the newest first. More than one is a conflict; the next write settles it. */
  values: T[];
  /** For ifMatch, at this daemon only. */
  etag: string;
  /** When the newest value ends by itself. */
  expires: Date | undefined;
}

/** A JSON value. Numbers beyond 2^53 lose digits, as everywhere in JavaScript: keep them as strings. */
export class Register<T extends Json = Json> extends Deletable {
  constructor(place: Place, key: string) { super(place, 'registers', key); }

  async get(options: CallOptions = {}): Promise<T | undefined> {
    return (await this.state(options))?.value;
  }

  /** The value with its siblings. */
  async state(options: CallOptions = {}): Promise<RegisterState<T> | undefined> {
    const res = await this.find({ method: 'GET', path: '', options });
    if (!res) return undefined;
    const reg = (await res.json()) as { value: T; values?: T[]; expires?: string };
    const expires = reg.expires === undefined ? undefined : new Date(reg.expires);
    return { value: reg.value, values: reg.values ?? [reg.value], etag: res.headers.get('ETag') ?? '', expires };
  }

  set(value: T, options: LifetimeOptions = {}): Promise<void> {
    return this.put('', value, options);
  }
}

/** A set of strings, in which an add wins against a removal that did not see it. */
export class Set extends Deletable {
  constructor(place: Place, key: string) { super(place, 'sets', key); }

  /** The members in order. Pages are fetched while they are read: what others write meanwhile may be among them. */
  async *members(options: CallOptions & { prefix?: string } = {}): AsyncGenerator<string, void, undefined> {
    const { prefix, ...rest } = options;
    let cursor: string | undefined;
    do {
      const res = await this.find({ method: 'GET', path: '', query: { prefix, limit: 1000, cursor }, options: rest });
      if (!res) return;
      const page = (await res.json()) as Schemas['Set'];
      yield* page.members;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  async size(options: CallOptions = {}): Promise<number> {
    const res = await this.find({ method: 'GET', path: '', query: { limit: 1 }, options });
    return res ? ((await res.json()) as Schemas['Set']).size : 0;
  }

  async has(member: string, options: CallOptions = {}): Promise<boolean> {
    return (await this.find({ method: 'GET', path: `/members/${segment(member)}`, options })) !== undefined;
  }

  /** Adds members, and returns how many were absent. */
  async add(members: string | readonly string[], options: LifetimeOptions = {}): Promise<number> {
    const { lifetime, rest } = splitLifetime(options);
    return (await this.change({ add: [members].flat(), ...lifetime }, rest)).added;
  }

  /** Removes members, and returns how many were there. */
  async remove(members: string | readonly string[], options: WriteOptions = {}): Promise<number> {
    return (await this.change({ remove: [members].flat() }, options)).removed;
  }

  /** Removes, then adds, all or nothing. */
  async change(body: { add?: readonly string[]; remove?: readonly string[] } & Lifetime, options: WriteOptions = {}): Promise<Schemas['SetChange']> {
    return (await (await this.send({ method: 'POST', path: '', body, options })).json()) as Schemas['SetChange'];
  }
}

/** In an op: how long what it writes is to be seen, "90s", or until when, as RFC 3339 has it. */
export interface Lifetime {
  ttl?: string;
  expires?: string;
}

/** One action. What fits a type, the types do not say: the daemon does. */
export type Action = { inc: Integer } | { reset: true } | ({ enable: boolean } & Lifetime) | ({ value: Json } & Lifetime)
  | ({ add?: readonly string[]; remove?: readonly string[] } & Lifetime) | { delete: true };

/** Where in a list: behind or before an item, or the place where it was, or at an end; at the end without it. */
export type ListPlace = { after: string } | { before: string } | { at: 'start' | 'end' };

/** One action on a list. */
export type ListAction = ({ insert: readonly Json[] } & (ListPlace | object) & Lifetime)
  | ({ item: string } & (ListPlace | ({ value: Json } & Lifetime) | { delete: true }));

/** An item of a list, named by its id wherever it is moved. */
export type Item<T extends Json = Json> = Omit<Schemas['Item'], 'value' | 'values'> & { value: T; values?: T[] };

/** A list whose items are inserted, moved and removed by many without running into each other. */
export class List<T extends Json = Json> extends Deletable {
  constructor(place: Place, key: string) { super(place, 'lists', key); }

  /** The items in order. Pages are fetched while they are read: an item that is moved meanwhile may come twice, or be missed. */
  async *items(options: CallOptions = {}): AsyncGenerator<Item<T>, void, undefined> {
    let cursor: string | undefined;
    do {
      const res = await this.find({ method: 'GET', path: '', query: { limit: 1000, cursor }, options });
      if (!res) return;
      const page = (await res.json()) as { items: Item<T>[]; next?: string };
      yield* page.items;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  async size(options: CallOptions = {}): Promise<number> {
    const res = await this.find({ method: 'GET', path: '', query: { limit: 1 }, options });
    return res ? ((await res.json()) as Schemas['List']).size : 0;
  }

  async item(id: string, options: CallOptions = {}): Promise<Item<T> | undefined> {
    const res = await this.find({ method: 'GET', path: `/items/${segment(id)}`, options });
    return res && ((await res.json()) as Item<T>);
  }

  /** Inserts values in this order, at the end unless a place is given, and returns their ids. */
  async insert(values: readonly T[], where: ListPlace | undefined = undefined, options: LifetimeOptions = {}): Promise<string[]> {
    const { lifetime, rest } = splitLifetime(options);
    const res = await this.#change({ insert: values, ...where, ...lifetime }, rest);
    return ((await res.json()) as Schemas['ListChange']).inserted ?? [];
  }

  /** Gives an item another value. One that is not there is the problem not-found. */
  set(id: string, value: T, options: LifetimeOptions = {}): Promise<void> {
    return this.put(`/items/${segment(id)}`, value, options);
  }

  /** Moves an item. One that is not there is the problem not-found. */
  async move(id: string, where: ListPlace, options: WriteOptions = {}): Promise<void> {
    await this.#change({ item: id, ...where }, options);
  }

  async remove(id: string, options: WriteOptions = {}): Promise<void> {
    await this.send({ method: 'DELETE', path: `/items/${segment(id)}`, options });
  }

  #change(body: ListAction, options: WriteOptions): Promise<Response> {
    return this.send({ method: 'POST', path: '', body, options });
  }
}

/** What is announced at a member: the value of each daemon that does, the newest first. */
export type Announcement = Schemas['PresentMember']['values'][number];

/**
 * Who is there now, in a namespace that is in memory. What is announced ends with the daemon that it was
 * announced at: give it a `ttl` and renew it, when it is you who should be alive.
 */
export class Presence extends Handle {
  constructor(place: Place, key: string) { super(place, 'presence', key); }

  async *members(options: CallOptions & { prefix?: string } = {}): AsyncGenerator<{ member: string; values: Announcement[] }, void, undefined> {
    const { prefix, ...rest } = options;
    let cursor: string | undefined;
    do {
      const res = await this.find({ method: 'GET', path: '', query: { prefix, limit: 1000, cursor }, options: rest });
      if (!res) return;
      const page = (await res.json()) as Schemas['Presence'];
      yield* page.members;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  async get(member: string, options: CallOptions = {}): Promise<Announcement[] | undefined> {
    const res = await this.find({ method: 'GET', path: `/members/${segment(member)}`, options });
    return res && ((await res.json()) as Schemas['PresentMember']).values;
  }

  announce(member: string, value: Json, options: LifetimeOptions = {}): Promise<void> {
    return this.put(`/members/${segment(member)}`, value, options);
  }

  /** Takes back what this daemon announced there. */
  async withdraw(member: string, options: WriteOptions = {}): Promise<void> {
    await this.send({ method: 'DELETE', path: `/members/${segment(member)}`, options });
  }
}

/** One action at one field of a map. */
export type MapOp = { path: readonly string[] } & (Action | ListAction);

/** Nested fields that hold registers, counters, flags, lists and sets. Counters beyond 2^53−1 in it are strings of digits. */
export class Map extends Deletable {
  constructor(place: Place, key: string) { super(place, 'maps', key); }

  /** The whole as a plain object. One that is too large for that is the problem too-large: page through it. */
  async get(options: CallOptions = {}): Promise<Record<string, Json> | undefined> {
    const res = await this.find({ method: 'GET', path: '', options });
    return res && ((await res.json()) as { value: Record<string, Json> }).value;
  }

  /** The fields page by page, each page a plain object of just its fields. */
  async *pages(limit = 1000, options: CallOptions = {}): AsyncGenerator<Record<string, Json>, void, undefined> {
    let cursor: string | undefined;
    do {
      const res = await this.find({ method: 'GET', path: '', query: { limit, cursor }, options });
      if (!res) return;
      const page = (await res.json()) as { value: Record<string, Json>; next?: string };
      yield page.value;
      cursor = page.next;
    } while (cursor !== undefined);
  }

  /** Every field with its type and everything that concurrent writes have left there. */
  async typed(options: CallOptions = {}): Promise<Schemas['TypedMap'] | undefined> {
    const res = await this.find({ method: 'GET', path: '', query: { shape: 'typed' }, options });
    return res && ((await res.json()) as Schemas['TypedMap']);
  }

  /** What is at a field. */
  async field(path: readonly string[], options: CallOptions = {}): Promise<Schemas['Field'] | undefined> {
    const res = await this.find({ method: 'GET', path: fieldsPath(path), options });
    return res && ((await res.json()) as Schemas['Field']);
  }

  /** Writes a register at a field, in place of what was seen there. */
  setField(path: readonly string[], value: Json, options: LifetimeOptions = {}): Promise<void> {
    return this.put(fieldsPath(path), value, options);
  }

  /** Removes what was seen at and under a field. */
  async deleteField(path: readonly string[], options: WriteOptions = {}): Promise<void> {
    await this.send({ method: 'DELETE', path: fieldsPath(path), options });
  }

  /** Does all ops, or nothing, and returns the map, or its first page if it is large. */
  change(ops: readonly MapOp[], options: WriteOptions = {}): Promise<Record<string, Json>> {
    const body = { ops: ops.map((op) => ('inc' in op ? { ...op, inc: writeInteger(op.inc) } : op)) };
    return this.#patch(body, 'application/json', options);
  }

  /** Applies a merge patch (RFC 7396): null deletes, an object goes into the field, other values are written. */
  merge(patch: { readonly [name: string]: Json }, options: WriteOptions = {}): Promise<Record<string, Json>> {
    return this.#patch(patch, 'application/merge-patch+json', options);
  }

  async #patch(body: unknown, mediaType: string, options: WriteOptions): Promise<Record<string, Json>> {
    const res = await this.send({ method: 'PATCH', path: '', body, mediaType, options });
    return ((await res.json()) as { value: Record<string, Json> }).value;
  }
}

function fieldsPath(path: readonly string[]): string {
  if (path.length === 0) throw new RangeError('a path names at least one field');
  return `/fields/${path.map(segment).join('/')}`;
}
