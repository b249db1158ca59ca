import { Namespace } from './namespace.js';
import { send, segment, type CallOptions, type Sender } from './request.js';
import type { components } from './schema.js';

type Schemas = components['schemas'];

export interface ClientOptions {
  /** In place of the global fetch. */
  fetch?: typeof fetch;
  /** How often a request is sent again at most, if that is the same as once: 4 unless it is given. */
  retries?: number;
}

/** A client of one daemon. It holds no connection of its own and need not be closed. */
export class Client {
  readonly #sender: Sender;

  /** @param url of the daemon: http://127.0.0.1:7700 */
  constructor(url = 'http://127.0.0.1:7700', options: ClientOptions = {}) {
    // A fetch that is a member of an object fails in browsers.
    const send = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#sender = { url: url.replace(/\/+$/, ''), fetch: send, retries: options.retries ?? 4 };
  }

  /** A namespace. It sends nothing. The options hold for all calls that have none of their own. */
  namespace(name = 'default', options: CallOptions = {}): Namespace {
    return new Namespace(this.#sender, name, options);
  }

  /** What this daemon holds. */
  async namespaces(options: CallOptions = {}): Promise<Schemas['NamespaceInfo'][]> {
    const res = await send(this.#sender, { method: 'GET', path: '/v1/ns', options });
    return ((await res.json()) as Schemas['Namespaces']).namespaces;
  }

  /** Makes a copy of a namespace here, or confirms it. */
  async createNamespace(name: string, storage: 'disk' | 'memory' = 'disk', options: CallOptions = {}): Promise<void> {
    await send(this.#sender, { method: 'PUT', path: `/v1/ns/${segment(name)}`, body: { storage }, options });
  }

  /** Drops the copy of this daemon. Others keep theirs. */
  async dropNamespace(name: string, options: CallOptions = {}): Promise<void> {
    await send(this.#sender, { method: 'DELETE', path: `/v1/ns/${segment(name)}`, query: { drop: 'local' }, options });
  }

  async status(options: CallOptions = {}): Promise<Schemas['Status']> {
    return (await (await send(this.#sender, { method: 'GET', path: '/v1/status', options })).json()) as Schemas['Status'];
  }

  async peers(options: CallOptions = {}): Promise<Schemas['Peer'][]> {
    const res = await send(this.#sender, { method: 'GET', path: '/v1/peers', options });
    return ((await res.json()) as Schemas['Peers']).peers;
  }

  /** Remembers a peer's address and dials it in the background. */
  async addPeer(addr: string, options: CallOptions = {}): Promise<void> {
    await send(this.#sender, { method: 'POST', path: '/v1/peers', body: { addr }, harmless: true, options });
  }
}
