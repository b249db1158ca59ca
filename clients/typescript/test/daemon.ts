// Daemons for tests: each in a directory of its own, on loopback only.
import { spawn, execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

const binary = path.resolve(process.env['BINARY'] ?? '../../dist/anabranch');
const startTimeout = 60_000;
const stopTimeout = 15_000;

export class Daemon {
  url = '';
  /** Where other daemons reach it. */
  peer = '';
  readonly log: string[] = [];

  private constructor(readonly dir: string, private readonly child: ChildProcess, private readonly ended: Promise<unknown>) {}

  /** Starts a daemon. Those of one cluster share a directory for their key. */
  static async start(cluster: Cluster = new Cluster(), ...args: string[]): Promise<Daemon> {
    const dir = mkdtempSync(path.join(cluster.dir, 'd'));
    const child = spawn(binary, ['serve', '--data-dir', dir, '--http', '127.0.0.1:0', '--mdns=false', '--listen', '/ip4/127.0.0.1/tcp/0',
      '--log-format', 'json', '--cluster-key-file', cluster.key, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    const daemon = new Daemon(dir, child, once(child, 'exit'));
    cluster.daemons.push(daemon);
    await daemon.ready();
    return daemon;
  }

  private async ready(): Promise<void> {
    let done = () => {};
    const ready = new Promise<void>((resolve) => { done = resolve; });
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.log.push(line);
      const entry = JSON.parse(line) as { msg: string; address?: string; addresses?: string[]; peer_id?: string };
      if (entry.msg === 'HTTP API') this.url = entry.address!;
      if (entry.msg === 'listening for other daemons') this.peer = `${entry.addresses![0]}/p2p/${entry.peer_id}`;
      if (entry.msg === 'ready') done();
    });
    const timer = new AbortController();
    const late = new Promise<never>((_, reject) => {
      const t = setTimeout(() => reject(new Error(`the daemon did not start:\n${this.log.join('\n')}`)), startTimeout);
      timer.signal.addEventListener('abort', () => clearTimeout(t));
    });
    const gone = this.ended.then(() => { throw new Error(`the daemon ended:\n${this.log.join('\n')}`); });
    gone.catch(() => {}); // it ends later, too
    await Promise.race([ready, late, gone]).finally(() => timer.abort());
  }

  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), stopTimeout);
    await this.ended;
    clearTimeout(timer);
  }
}

/** What daemons of one test share. */
export class Cluster {
  readonly dir = mkdtempSync(path.join(os.tmpdir(), 'anbt'));
  readonly key = path.join(this.dir, 'cluster.key');
  readonly daemons: Daemon[] = [];

  constructor() {
    writeFileSync(this.key, execFileSync(binary, ['key', 'new']), { mode: 0o600 });
  }

  async stop(): Promise<void> {
    await Promise.all(this.daemons.map((d) => d.stop()));
    rmSync(this.dir, { recursive: true });
  }
}
