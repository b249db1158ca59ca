import { readLines } from './changes.js';
import { readResult, type BatchResult } from './result.js';
import { Problem, problemOf } from './problem.js';
import { drawKey, passing, pause, type WriteOptions } from './request.js';
import type { components } from './schema.js';

type Result = components['schemas']['BulkResult'];

/** What became of one op of a bulk. */
export interface BulkResult extends BatchResult {
  /** Which op it was, counted from 0. */
  index: number;
  /** Why it was not done. */
  problem?: Problem;
  /** It had been done by an attempt that was cut off. Its result is lost. */
  replayed?: boolean;
}

export type BulkOptions = Omit<WriteOptions, 'ifMatch' | 'ifAbsent'>;

/** What one request carries at most. It is held in memory, so that it can be sent again. */
const chunkLines = 5_000;
const chunkBytes = 4 << 20; // characters, but for the last line

/** Sends one request of a bulk. */
export type Post = (body: string, key: string) => Promise<Response>;

/**
 * Sends ops line by line and yields what became of each, in order. The ops go out in requests of some
 * thousands; one that is cut off is sent again and goes on where it stopped.
 */
export async function* bulk(ops: AsyncIterable<string>, options: BulkOptions, retries: number, post: Post, observe: (token: string) => void): AsyncGenerator<BulkResult, void, undefined> {
  let lines: string[] = [];
  let size = 0;
  let first = 0;
  const flush = async () => {
    const results = await persist(lines, options, retries, post, observe);
    const chunk = results.map((r) => told(r, first));
    first += lines.length;
    lines = [];
    size = 0;
    return chunk;
  };
  for await (const line of ops) {
    lines.push(line);
    size += line.length;
    if (lines.length === chunkLines || size > chunkBytes) yield* await flush();
  }
  if (lines.length > 0) yield* await flush();
}

/** Sends the lines until the daemon has told of all. */
async function persist(lines: readonly string[], options: BulkOptions, retries: number, post: Post, observe: (token: string) => void): Promise<Result[]> {
  const key = drawKey();
  const body = lines.map((line) => `${line}\n`).join('');
  for (let attempt = 0; ; attempt++) {
    try {
      return await once(await post(body, key), observe);
    } catch (err) {
      if (options.signal?.aborted || !(err instanceof Error) || attempt >= retries || !passing(err)) throw err;
      await pause(attempt, err, options.signal);
    }
  }
}

/** Reads the results. It throws when the last line, which tells of all, is missing: then the one before says why. */
async function once(res: Response, observe: (token: string) => void): Promise<Result[]> {
  const results: Result[] = [];
  for await (const line of readLines(res)) {
    const result = JSON.parse(line) as Result;
    if (result.lines !== undefined) {
      if (result.context) observe(result.context);
      return results;
    }
    results.push(result);
  }
  const { problem } = results[results.length - 1] ?? {};
  if (!problem) throw new Error('the bulk has no end');
  throw readProblemOf(problem, problem.status === 503 ? 1 : undefined);
}

const readProblemOf = (problem: components['schemas']['Problem'], retryAfter?: number) => problemOf({ ...problem }, retryAfter);

function told(r: Result, first: number): BulkResult {
  return {
    ...readResult(r),
    index: first + (r.line ?? 1) - 1,
    ...(r.problem ? { problem: readProblemOf(r.problem) } : {}),
    ...(r.replayed ? { replayed: true } : {}),
  };
}
