import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { findCgroup2 } from '../../src/kernel/mounts.ts';
import { acyclic, type Place, until } from './harness.ts';

/** Answers TCP and UDP on every address of loopback, byte for byte. */
const ECHO = `import socket, threading
t = socket.create_server(('0.0.0.0', 9), reuse_port=True)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('0.0.0.0', 9))
def serve(c):
    while (d := c.recv(1)): c.sendall(d)
def datagrams():
    while True:
        d, a = u.recvfrom(99); u.sendto(d, a)
threading.Thread(target=datagrams, daemon=True).start()
print('ready', flush=True)
while True: threading.Thread(target=serve, args=(t.accept()[0],), daemon=True).start()
`;

/** Does what it is told, a line at a time, and says how it went. */
const SERVICE = `import os, socket, subprocess, sys
kept, servers = [], []
def do(what, *args):
    if what == 'connect':
        kept.append(socket.create_connection((args[0], 9), timeout=3))
    elif what == 'talk':
        kept[int(args[0])].sendall(b'x'); assert kept[int(args[0])].recv(1) == b'x'
    elif what == 'bind':
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 5353)); s.settimeout(3); servers.append(s)
    elif what == 'answer':
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); peer.bind((args[0], 0)); peer.settimeout(3)
        peer.sendto(b'q', ('127.0.0.1', 5353)); d, a = servers[0].recvfrom(9); servers[0].sendto(d, a); peer.recv(9)
    elif what == 'child':
        subprocess.run(['bash', '-c', 'exec 3<>/dev/tcp/%s/9' % args[0]], check=True, stderr=subprocess.DEVNULL)
    elif what == 'part':
        subprocess.run(['sh', '-c', 'echo $$ > %s/cgroup.procs' % args[0]], check=True)
    elif what == 'leave':
        open(args[0] + '/cgroup.procs', 'w').write(str(os.getpid()))
    return 'ok'
print(os.getpid(), flush=True)
for line in sys.stdin:
    try: print(do(*line.split()), flush=True)
    except Exception as e: print(type(e).__name__, flush=True)
`;

/** A process in a cgroup of its own, there before any guard is. */
export interface Resident {
  readonly pid: number;
  readonly cgroup: string;
  /** `ok`, or the class of the exception. */
  ask(line: string): Promise<string>;
  /** Ends it; its cgroup goes too, as a service manager would have it. */
  stop(): Promise<void>;
}

/** The next line of a child's standard output. */
function reader(child: ChildProcess): () => Promise<string> {
  if (!child.stdout) throw new Error('no standard output');
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return async () => String((await lines.next()).value);
}

export async function startEcho(place: Place): Promise<ChildProcess> {
  const child = place.start(['python3', '-c', ECHO], { stdio: ['ignore', 'pipe', 'inherit'] });
  if ((await reader(child)()) !== 'ready') throw new Error('the echo server did not start');
  return child;
}

let residents = 0;

export async function startResident(place: Place, name?: string): Promise<Resident> {
  const cgroup = join(findCgroup2(), name ?? `acyclic-test-${process.pid}-resident-${residents++}`);
  mkdirSync(cgroup);
  const child = place.start(['python3', '-c', SERVICE], { stdio: ['pipe', 'pipe', 'inherit'] });
  const next = reader(child);
  const pid = Number(await next());
  writeFileSync(join(cgroup, 'cgroup.procs'), String(pid));
  let stopped = false;
  const resident: Resident = {
    pid,
    cgroup,
    async ask(line) {
      child.stdin?.write(`${line}\n`);
      return await next();
    },
    async stop() {
      if (stopped) return;
      stopped = true;
      child.stdin?.end();
      if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
      let gone = false;
      await until(() => {
        try {
          rmdirSync(cgroup);
          gone = true;
        } catch {
          // Its last process may take a moment to leave.
        }
        return gone;
      }, `${cgroup} is empty`);
    },
  };
  onTestFinished(resident.stop);
  return resident;
}

/** `acyclic attach` in the foreground. */
export interface Attach {
  readonly child: ChildProcess;
  readonly id: string;
  /** What it has said on standard error so far. */
  said(): string;
  /** Its exit status, when it has one. */
  readonly ended: Promise<number | null>;
}

export async function startAttach(place: Place, args: readonly string[]): Promise<Attach> {
  const child = place.start([acyclic, 'attach', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr?.on('data', (chunk) => {
    text += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
  });
  const id = () => / attach ([0-9A-Z]{26})\n {2}in /.exec(text)?.[1];
  await until(() => id() !== undefined || child.exitCode !== null, 'it is attached');
  return { child, id: id() ?? '', said: () => text, ended };
}
