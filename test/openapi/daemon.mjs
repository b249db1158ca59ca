// A daemon for one test run: its own directory, no network but loopback, the API on a unix socket.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { openSync, closeSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';

const binary = path.resolve(process.env.BINARY ?? '../../dist/anabranch');
const startTimeout = 60_000;
const stopTimeout = 15_000;

// The longest that a reply may take, and how much of a stream is read.
const replyTimeout = 20_000;
const streamTime = 150;

export async function startDaemon() {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'anbo'));
  const socketPath = path.join(dir, 'http.sock');
  const log = path.join(dir, 'log');
  const fd = openSync(log, 'w');
  const child = spawn(binary, ['serve', '--data-dir', path.join(dir, 'data'), '--http', `unix:${socketPath}`, '--mdns=false', '--listen', '/ip4/127.0.0.1/tcp/0'],
    { stdio: ['ignore', fd, fd] });
  closeSync(fd);
  const ended = once(child, 'exit');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const daemon = {
    request: (r) => request(agent, socketPath, r),
    async stop() {
      agent.destroy();
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeout);
      const [code] = await ended;
      clearTimeout(timer);
      const text = await readFile(log, 'utf8');
      await rm(dir, { recursive: true });
      if (code !== 0) throw new Error(`the daemon ended with ${code}:\n${text.slice(-2000)}`);
    },
  };
  try {
    await ready(daemon, child);
  } catch (err) {
    child.kill('SIGKILL');
    await ended;
    throw new Error(`${err.message}:\n${await readFile(log, 'utf8')}`);
  }
  return daemon;
}

async function ready(daemon, child) {
  for (const end = Date.now() + startTimeout; Date.now() < end;) {
    if (child.exitCode !== null) throw new Error('the daemon ended at once');
    const r = await daemon.request({ method: 'GET', target: '/readyz' }).catch(() => undefined);
    if (r?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the daemon did not become ready');
}

// request sends the target as it is written: no library may tidy it up.
function request(agent, socketPath, { method, target, headers = {}, body, stream = false }) {
  // Without a length the body of a GET would be taken for the next request.
  if (body !== undefined) headers = { ...headers, 'Content-Length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const req = http.request({ agent: stream ? false : agent, socketPath, method, path: target, headers: { Host: 'localhost', ...headers } });
    const timer = setTimeout(() => req.destroy(new Error(`no reply within ${replyTimeout} ms`)), replyTimeout);
    req.on('error', (err) => { clearTimeout(timer); reject(err); });
    req.on('response', (res) => {
      const chunks = [];
      const done = (complete) => {
        clearTimeout(timer);
        resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks), complete });
      };
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('end', () => done(true));
      res.on('error', (err) => { clearTimeout(timer); reject(err); });
      if (stream && res.statusCode === 200) {
        setTimeout(() => { res.removeAllListeners('error'); res.on('error', () => {}); done(false); req.destroy(); }, streamTime);
      }
    });
    if (body !== undefined) req.write(body);
    req.end();
  });
}
