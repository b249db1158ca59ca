import type { components } from './schema.js';

const prefix = 'urn:anabranch:problem:';

type Schemas = components['schemas'];
type Bodies = Extract<Schemas[keyof Schemas], { type: `urn:anabranch:problem:${string}` }>;

/** The kinds of problems, as the OpenAPI description lists them. A later daemon may know more. */
export type ProblemKind = Bodies['type'] extends `urn:anabranch:problem:${infer Kind}` ? Kind : never;

/** What a problem of a kind tells besides its title and detail: `limit`, `missing`, and so on. */
export type ProblemBody<K extends ProblemKind = ProblemKind> = Extract<Bodies, { type: `urn:anabranch:problem:${K}` }>;

/** What a daemon refused, or could not do (RFC 9457). Decide by `kind`, or with isProblem. */
export class Problem extends Error {
  override readonly name = 'Problem';

  constructor(
    /** The name of the kind: what follows urn:anabranch:problem: in the type. */
    readonly kind: string,
    readonly status: number,
    readonly detail: string,
    /** The whole document. */
    readonly body: Readonly<Record<string, unknown>>,
    /** After how many seconds to ask again, where the daemon says so. */
    readonly retryAfter: number | undefined,
  ) {
    super(`${kind}: ${detail}`);
  }
}

/** Tells whether an error is a problem, of one of these kinds if any are given. */
export function isProblem<K extends ProblemKind>(err: unknown, ...kinds: K[]): err is Problem & { readonly kind: K; readonly body: ProblemBody<K> } {
  return err instanceof Problem && (kinds.length === 0 || (kinds as string[]).includes(err.kind));
}

/** Reads the reply to a request that failed. What is no problem document, a proxy's page, has the kind "unknown". */
export async function readProblem(res: Response): Promise<Problem> {
  const text = await res.text();
  const after = Number(res.headers.get('Retry-After') ?? NaN);
  const retryAfter = Number.isFinite(after) ? after : undefined;
  if (res.headers.get('Content-Type') === 'application/problem+json') {
    return problemOf(JSON.parse(text) as Record<string, unknown>, retryAfter);
  }
  return new Problem('unknown', res.status, `${res.status} ${res.statusText} ${text.slice(0, 200)}`.trim(), {}, retryAfter);
}

/** Makes a problem of its document. */
export function problemOf(body: Readonly<Record<string, unknown>>, retryAfter: number | undefined): Problem {
  const type = String(body['type']);
  return new Problem(type.startsWith(prefix) ? type.slice(prefix.length) : type, Number(body['status']), String(body['detail']), body, retryAfter);
}
