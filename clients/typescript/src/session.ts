/**
 * A session remembers what was seen and written in it, as context tokens by namespace, and hands that
 * over with every request: at whichever daemon, reads are at least as fresh as what came before, and
 * removals and register writes take the place of exactly what was seen. It may be written as JSON,
 * kept, and taken up elsewhere. Give calls a `wait`, so that a daemon that is behind can catch up.
 */
export class Session {
  /** Tokens that no other covers: more than one only while requests run at the same time. */
  readonly #tokens = new globalThis.Map<string, string[]>();

  /** @param saved what toJSON returned */
  constructor(saved: Readonly<Record<string, readonly string[]>> = {}) {
    for (const [ns, tokens] of Object.entries(saved)) {
      for (const token of tokens) this.observe(ns, token);
    }
  }

  /** The tokens of a namespace. Together they stand for all that was seen. */
  tokens(ns: string): readonly string[] {
    return this.#tokens.get(ns) ?? [];
  }

  /** Takes in a token, in place of those that it covers. */
  observe(ns: string, token: string, covered: readonly string[] = []): void {
    const others = this.tokens(ns).filter((t) => t !== token && !covered.includes(t));
    this.#tokens.set(ns, [...others, token]);
  }

  toJSON(): Record<string, readonly string[]> {
    return Object.fromEntries(this.#tokens);
  }
}
