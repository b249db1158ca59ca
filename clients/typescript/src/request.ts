import { Problem, readProblem } from './problem.js';
import type { Session } from './session.js';

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined };

/** Options of any call. */
export interface CallOptions {
  /** Ends the call. */
  signal?: AbortSignal | undefined;
  /** How many seconds, 60 at most, the daemon may wait for what the session has seen, for acks and for peers. */
  wait?: number | undefined;
  /** In place of that of the namespace. */
  session?: Session | undefined;
  /** A token of an earlier reply, where there is no session. */
  context?: string | undefined;
}

/** Options of calls that change something. */
export interface WriteOptions extends CallOptions {
  /** How many peers shall have told that they hold the write. The call succeeds when they have not in time, too. */
  acks?: number | undefined;
  /** Only if the object has this ETag at this daemon, else the problem precondition-failed; "*" for any. */
  ifMatch?: string | undefined;
  /** Only if the object is absent at this daemon. */
  ifAbsent?: boolean | undefined;
}

/** Options of writes of what may end by itself. At most one of the two. */
export interface LifetimeOptions extends WriteOptions {
  /** How long it is to be seen: "90s", "15m", "36h". */
  ttl?: string | undefined;
  /** Until when it is to be seen. */
  expires?: Date | undefined;
}

/** Takes the lifetime out of options: what the query or the body has, and the rest. */
export function splitLifetime(options: LifetimeOptions): { lifetime: { ttl?: string; expires?: string }; rest: WriteOptions } {
  const { ttl, expires, ...rest } = options;
  return { lifetime: { ...(ttl === undefined ? {} : { ttl }), ...(expires === undefined ? {} : { expires: expires.toISOString() }) }, rest };
}

/** How to send requests. */
export interface Sender {
  readonly url: string;
  readonly fetch: typeof fetch;
  /** How often a request is sent again at most. */
  readonly retries: number;
}

/** A request to the API. */
export interface ApiRequest {
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  /** The path, escaped. */
  path: string;
  /** The namespace that the data is of, if it is about data. */
  ns?: string | undefined;
  query?: Record<string, string | number | boolean | undefined>;
  /** Sent as JSON, but for a text of another media type. */
  body?: unknown;
  mediaType?: string;
  /** The idempotency key; drawn where it is needed and not given. */
  key?: string;
  accept?: string;
  /** It changes nothing, or may be done twice. */
  harmless?: boolean;
  options: WriteOptions;
}

/** The media type of streams of lines. */
export const linesType = 'application/x-ndjson';

const firstPause = 100;
const longestPause = 5_000;

/**
 * Escapes a name as one segment of a path. It throws a RangeError for "." and "..": every client of
 * URLs folds them, escaped too, and a batch can name such objects.
 */
export function segment(name: string): string {
  if (name === '.' || name === '..') throw new RangeError(`the name ${JSON.stringify(name)} cannot stand in a URL: use a batch`);
  if (name === '') throw new RangeError('a name is not empty');
  return encodeURIComponent(name);
}

/** Sends a request, again if that is the same as once and the failure may pass, and returns what is no failure. */
export async function send(sender: Sender, request: ApiRequest): Promise<Response> {
  const session = request.ns === undefined ? undefined : request.options.session;
  const covered = session && request.ns !== undefined ? await catchUp(sender, request, session, request.ns) : [];
  const token = covered[covered.length - 1] ?? request.options.context;
  const init = initOf(request, token);
  const url = sender.url + request.path + queryOf(request);
  for (let attempt = 0; ; attempt++) {
    const result = await once(sender, url, init, request.options.signal);
    if (result instanceof Response) {
      const next = result.headers.get('Anabranch-Context');
      if (session && request.ns !== undefined && next) session.observe(request.ns, next, covered);
      if (result.ok || result.status === 304) return result;
    }
    const err = result instanceof Response ? await readProblem(result) : result;
    if (attempt >= sender.retries || !repeatable(request, token) || !passing(err)) throw err;
    await pause(attempt, err, request.options.signal);
  }
}

/**
 * Returns the tokens that the reply to the request will cover, the one to send last. A request takes
 * one token: of several, the daemon is first brought behind the others by reads.
 */
async function catchUp(sender: Sender, request: ApiRequest, session: Session, ns: string): Promise<readonly string[]> {
  const tokens = session.tokens(ns);
  const { signal, wait } = request.options;
  for (const context of tokens.slice(0, -1)) {
    const res = await send(sender, { method: 'GET', path: `/v1/ns/${segment(ns)}/keys`, ns, query: { limit: 1 }, options: { signal, wait, context } });
    await res.arrayBuffer();
  }
  return tokens;
}

function initOf(request: ApiRequest, token: string | undefined): RequestInit {
  const { options } = request;
  const headers: Record<string, string> = {};
  if (request.accept) headers['Accept'] = request.accept;
  if (request.body !== undefined) headers['Content-Type'] = request.mediaType ?? 'application/json';
  if (token !== undefined) headers['Anabranch-Context'] = token;
  if (options.wait !== undefined) headers['Prefer'] = `wait=${Math.ceil(options.wait)}`;
  if (options.ifMatch !== undefined) headers['If-Match'] = options.ifMatch;
  if (options.ifAbsent) headers['If-None-Match'] = '*';
  const keyed = (request.method === 'POST' || request.method === 'PATCH') && !request.harmless;
  if (keyed) headers['Idempotency-Key'] = request.key ?? drawKey();
  const init: RequestInit = { method: request.method, headers };
  if (request.body !== undefined) init.body = request.mediaType === linesType ? (request.body as string) : JSON.stringify(request.body);
  if (options.signal) init.signal = options.signal;
  return init;
}

/** Draws an idempotency key. Browsers have crypto in secure contexts only; nobody gains by guessing a key. */
export function drawKey(): string {
  return Array.from({ length: 4 }, () => Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, '0')).join('');
}

function queryOf(request: ApiRequest): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...request.query, acks: request.options.acks })) {
    if (value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

/** Sends once. It returns a failure of the network, and throws what the caller has ended. */
async function once(sender: Sender, url: string, init: RequestInit, signal: AbortSignal | undefined): Promise<Response | Error> {
  try {
    return await sender.fetch(url, init);
  } catch (err) {
    if (signal?.aborted || !(err instanceof Error)) throw err;
    return err;
  }
}

/** Tells whether to do the request twice is the same as once. */
function repeatable(request: ApiRequest, token: string | undefined): boolean {
  const conditional = request.options.ifMatch !== undefined || request.options.ifAbsent === true;
  switch (request.method) {
    case 'GET': return true;
    case 'DELETE': return !conditional;
    case 'PUT': return !conditional && token === undefined; // with a token the second write would not take the place of the first
    default: return true; // it has a key, or is harmless
  }
}

/** Tells whether another time may be better: not when the daemon has waited already. */
export function passing(err: Error): boolean {
  if (!(err instanceof Problem)) return true; // there was no complete reply
  switch (err.status) {
    case 409: return err.kind === 'idempotency-in-progress';
    case 429:
    case 503: return err.retryAfter !== undefined && err.kind !== 'not-yet-visible';
    case 502:
    case 504: return true;
  }
  return false;
}

/** Waits before attempt number n+1: half of the time by the number, half by chance. */
export async function pause(n: number, err: unknown, signal: AbortSignal | undefined): Promise<void> {
  const most = Math.min(longestPause, firstPause * 2 ** n);
  const after = err instanceof Problem ? (err.retryAfter ?? 0) * 1000 : 0;
  const time = Math.max(after, most / 2 + Math.random() * (most / 2));
  await new Promise<void>((resolve, reject) => {
    const end = () => { clearTimeout(timer); reject(signal?.reason as Error); };
    const timer = setTimeout(() => { signal?.removeEventListener('abort', end); resolve(); }, time);
    if (signal?.aborted) end();
    else signal?.addEventListener('abort', end, { once: true });
  });
}
