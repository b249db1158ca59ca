import { readInteger } from './number.js';
import type { Place } from './objects.js';
import { isProblem, Problem } from './problem.js';
import { linesType, pause, send, type ApiRequest, type CallOptions, type Json } from './request.js';
import type { components } from './schema.js';

type Schemas = components['schemas'];
type Key = Schemas['Key'];

/** An object has changed. Of its states only the latest is told; a change may be told twice, none is lost. */
export interface Change {
  /** Behind this change: where to go on. */
  cursor: string;
  event: 'changed' | 'removed' | 'conflict';
  type: Key['type'];
  key: string;
  /** With values, but not of removed objects and large sets and maps. Of counters an Integer. */
  value?: Json | bigint;
}

export interface ChangesOptions extends Pick<CallOptions, 'signal'> {
  /** "now" (also without it), "start", a cursor, or a context token. */
  since?: string | undefined;
  type?: Key['type'] | undefined;
  prefix?: string | undefined;
  /** Tell the values too. */
  values?: boolean | undefined;
  /**
   * Called when the daemon no longer knows what followed the cursor: read what is listed, and drop
   * what is not. The feed goes on from the moment at which the list began. Without it that is the
   * problem cursor-expired.
   */
  resync?: ((keys: AsyncIterable<Key>) => Promise<void>) | undefined;
}

/** Without a line for so long, three heartbeats, a connection is taken for dead. */
const silence = 45_000;
const longestLine = 16 << 20; // characters

/** Waits for something, and calls `silent` when it takes too long. */
async function within<T>(waited: Promise<T>, silent: (() => void) | undefined): Promise<T> {
  const timer = silent && setTimeout(silent, silence);
  try {
    return await waited;
  } finally {
    clearTimeout(timer);
  }
}

/** The lines of a stream. It throws when the stream breaks off, or when a line is absurdly long. */
export async function* readLines(res: Response, silent?: () => void): AsyncGenerator<string, void, undefined> {
  if (!res.body) return;
  const reader = res.body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await within(reader.read(), silent);
      if (done) break;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > longestLine) throw new Error('a line without an end');
      yield* lines;
    }
    if (rest !== '') throw new Error('the stream broke off within a line');
  } finally {
    await reader.cancel().catch(() => {}); // of a stream that has failed there is nothing to cancel
  }
}

type List = (request: Pick<ApiRequest, 'query' | 'options'>) => Promise<Response>;

/** Follows the feed through cuts. */
export async function* changes(place: Place, options: ChangesOptions, list: List): AsyncGenerator<Change, void, undefined> {
  const { signal, resync } = options;
  let since = options.since ?? 'now';
  for (let failures = 0; !signal?.aborted;) {
    try {
      for await (const line of connection(place, options, since)) {
        const change = JSON.parse(line) as Schemas['Change'];
        since = change.cursor;
        failures = 0;
        if (change.event !== 'bookmark') yield readChange(change);
      }
    } catch (err) {
      if (signal?.aborted) return;
      if (isProblem(err, 'cursor-expired') && resync) {
        since = await listAgain(options, list, resync);
        continue;
      }
      if (err instanceof Problem && err.status < 500 && err.status !== 429) throw err;
      await pause(failures++, err, signal).catch(() => {}); // the loop sees that the signal has ended it
      continue;
    }
    await pause(failures++, undefined, signal).catch(() => {}); // a stream that ends does so for a reason, too
  }
}

/** The lines of one connection, which is given up when it stays silent. */
async function* connection(place: Place, options: ChangesOptions, since: string): AsyncGenerator<string, void, undefined> {
  const ended = new AbortController();
  const end = () => ended.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', end, { once: true });
  const silent = () => ended.abort(new Error('the daemon is silent'));
  try {
    const res = await within(send({ ...place.sender, retries: 0 }, {
      method: 'GET', path: `${place.path}/changes`, accept: linesType, options: { signal: ended.signal },
      query: { since, type: options.type, prefix: options.prefix, include: options.values ? 'value' : undefined },
    }), silent);
    yield* readLines(res, silent);
  } finally {
    options.signal?.removeEventListener('abort', end);
    ended.abort();
  }
}

function readChange(change: Schemas['Change']): Change {
  const { cursor, event, type, key, value } = change as Change;
  if (value === undefined) return { cursor, event, type, key };
  const counts = type === 'counter' || type === 'bounded';
  return { cursor, event, type, key, value: counts ? readInteger(value as number | string) : value };
}

/** Lists the keys to the caller, and returns the cursor of the moment at which the list began. */
async function listAgain(options: ChangesOptions, list: List, resync: (keys: AsyncIterable<Key>) => Promise<void>): Promise<string> {
  const query = { type: options.type, prefix: options.prefix, limit: 1000 };
  const fetchPage = async (cursor?: string) => (await (await list({ query: { ...query, cursor }, options: { signal: options.signal } })).json()) as Schemas['Keys'];
  const first = await fetchPage();
  if (first.feed === undefined) throw new Error('the first page of the keys has no cursor of the feed');
  async function* all(): AsyncGenerator<Key, void, undefined> {
    for (let page = first; ; page = await fetchPage(page.next)) {
      yield* page.keys;
      if (page.next === undefined) return;
    }
  }
  await resync(all());
  return first.feed;
}
