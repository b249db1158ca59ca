import { bulk, type BulkOptions, type BulkResult } from './bulk.js';
import { changes, readLines, type Change, type ChangesOptions } from './changes.js';
import { writeInteger } from './number.js';
import { Bounded, Counter, Flag, List, Map, Presence, Register, Set, type Action, type ListAction, type Place } from './objects.js';
import { linesType, segment, send, type CallOptions, type Json, type Sender, type WriteOptions } from './request.js';
import { readResult, type BatchResult } from './result.js';
import type { components } from './schema.js';

type Schemas = components['schemas'];

/** An object, named by type and key. */
export type Key = Schemas['Key'];

export interface KeyOptions extends CallOptions {
  /** Only objects of this type. */
  type?: Key['type'] | undefined;
  /** Only keys that begin with it. */
  prefix?: string | undefined;
}

/** An object that holds more than one concurrent value; of a map, the fields that do. */
export type ConflictedObject = Schemas['Conflict'];

/** One action on one target of a batch. The names are those of the API. */
export type BatchOp = (
  | { bounded: string } | { counter: string } | { flag: string } | { set: string } | { register: string }
  | { map: string; path?: readonly string[] }
) & Action | ({ list: string } | { map: string; path: readonly string[] }) & ListAction | { list: string; delete: true };

/** An op as an export has it: integers beyond 2^53−1 are strings of digits. */
export type ExportedOp = Schemas['BatchOp'];

/** What must hold before a batch happens. */
export type Condition = ({ bounded: string } | { counter: string } | { flag: string } | { list: string } | { set: string } | { register: string } | { map: string })
  & ({ etag: string } | { absent: true });

export interface SyncOptions extends CallOptions {
  /** A peer's id; all that hold the namespace unless it is given. */
  peer?: string | undefined;
  direction?: 'pull' | 'push' | 'both' | undefined;
}

function writeOp<T extends BatchOp | ExportedOp>(op: T): object {
  return 'inc' in op && typeof op.inc !== 'string' && op.inc !== undefined ? { ...op, inc: writeInteger(op.inc) } : op;
}

/** A namespace at one daemon. Handles of its objects cost nothing: making one sends nothing. */
export class Namespace {
  readonly #place: Place;

  constructor(sender: Sender, readonly name: string, readonly options: CallOptions = {}) {
    this.#place = { sender, ns: name, path: `/v1/ns/${segment(name)}`, options };
  }

  counter(key: string): Counter { return new Counter(this.#place, key); }
  bounded(key: string): Bounded { return new Bounded(this.#place, key); }
  flag(key: string): Flag { return new Flag(this.#place, key); }
  list<T extends Json = Json>(key: string): List<T> { return new List<T>(this.#place, key); }
  presence(key: string): Presence { return new Presence(this.#place, key); }
  register<T extends Json = Json>(key: string): Register<T> { return new Register<T>(this.#place, key); }
  set(key: string): Set { return new Set(this.#place, key); }
  map(key: string): Map { return new Map(this.#place, key); }

  /** Does all of it, or nothing. It is seen whole at every daemon. */
  async batch(ops: readonly BatchOp[], options: Omit<WriteOptions, 'ifMatch' | 'ifAbsent'> & { if?: readonly Condition[] } = {}): Promise<BatchResult[]> {
    const { if: conditions, ...rest } = options;
    const body = { ops: ops.map(writeOp), ...(conditions ? { if: conditions } : {}) };
    const res = await this.#send({ method: 'POST', path: '/batch', body, options: rest });
    const { results } = (await res.json()) as Schemas['BatchResults'];
    return results.map(readResult);
  }

  /** The objects, in order of type and key. Pages are fetched while they are read. */
  async *keys(options: KeyOptions = {}): AsyncGenerator<Key, void, undefined> {
    const { type, prefix, ...rest } = options;
    yield* this.#pages<Schemas['Keys'], Key>('/keys', { type, prefix }, rest, (page) => page.keys);
  }

  /** The objects that now hold more than one concurrent value. */
  async *conflicts(options: CallOptions = {}): AsyncGenerator<ConflictedObject, void, undefined> {
    yield* this.#pages<Schemas['Conflicts'], ConflictedObject>('/conflicts', {}, options, (page) => page.conflicts);
  }

  async *#pages<P extends { next?: string }, T>(path: string, query: Record<string, string | undefined>, options: CallOptions, items: (page: P) => readonly T[]) {
    let cursor: string | undefined;
    do {
      const res = await this.#send({ method: 'GET', path, query: { ...query, limit: 1000, cursor }, options });
      const page = (await res.json()) as P;
      yield* items(page);
      cursor = page.next;
    } while (cursor !== undefined);
  }

  /**
   * Does any number of ops, one after the other and each by itself, and yields what became of each. It
   * takes what export yields. Nothing is sent until the results are read.
   */
  bulk(ops: AsyncIterable<BatchOp | ExportedOp> | Iterable<BatchOp | ExportedOp>, options: BulkOptions = {}): AsyncGenerator<BulkResult, void, undefined> {
    const all = { ...this.options, ...options };
    let covered: readonly string[] = [];
    const post = (body: string, key: string) => {
      covered = all.session?.tokens(this.name) ?? [];
      return this.#send({ method: 'POST', path: '/bulk', body, key, mediaType: linesType, accept: linesType, options });
    };
    const observe = (token: string) => all.session?.observe(this.name, token, covered);
    async function* lines() {
      for await (const op of ops) yield JSON.stringify(writeOp(op));
    }
    return bulk(lines(), all, this.#place.sender.retries, post, observe);
  }

  /** Everything visible at one moment, as ops that make it again. It throws when the stream breaks off. */
  async *export(options: CallOptions = {}): AsyncGenerator<ExportedOp, void, undefined> {
    const res = await this.#send({ method: 'GET', path: '/export', options });
    for await (const line of readLines(res)) yield JSON.parse(line) as ExportedOp;
  }

  /** Follows what changes, through cuts, until the signal ends it. See ChangesOptions. */
  changes(options: ChangesOptions = {}): AsyncGenerator<Change, void, undefined> {
    return changes(this.#place, options, (rest) => this.#send({ method: 'GET', path: '/keys', ...rest }));
  }

  /** Waits until this daemon and its peers have each other's changes, `wait` seconds at most; false when time is over. */
  async sync(options: SyncOptions = {}): Promise<boolean> {
    const { peer, direction, ...rest } = options;
    const res = await this.#send({ method: 'POST', path: '/sync', body: { peer, direction }, harmless: true, options: rest });
    await res.arrayBuffer();
    return res.status === 200;
  }

  /** How this copy stands to those of the peers. */
  async syncStatus(options: CallOptions = {}): Promise<Schemas['SyncStatus']> {
    return (await (await this.#send({ method: 'GET', path: '/sync', options })).json()) as Schemas['SyncStatus'];
  }

  #send(request: Omit<Parameters<typeof send>[1], 'ns'>): Promise<Response> {
    // The routes about peers take no token.
    const ns = request.path === '/sync' ? undefined : this.name;
    const options = { ...this.options, ...request.options };
    if (ns === undefined) delete options.context;
    return send(this.#place.sender, { ...request, ns, path: this.#place.path + request.path, options });
  }
}
