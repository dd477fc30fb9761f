import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import type { Mode } from '../model/verdict.ts';
import { type Cgroup, createCgroup, ownCgroup, removeCgroup, withCgroupFd } from './cgroup.ts';
import { describeForeign, foreignPrograms } from './foreign-programs.ts';
import { checkLimits } from './limits.ts';
import { BPFFS, ensureBpffs, findCgroup2 } from './mounts.ts';
import { native } from './native.ts';
import { type Probe, probe } from './probe.ts';
import { loadPrograms, type Programs } from './programs.ts';
import { hasUnixConnect } from './unix-connect.ts';

const MODES: readonly Mode[] = ['enforce', 'audit'];
const IPPROTO_TCP = 6;
const AF_INET = 2;
const LOOPBACK = '127.0.0.1';
const SIGKILL = 9;

/** Whether resolvers outside a run can be closed to it. */
export const CLOSING = 'UNIX sockets';

/** What a guard is made of, each part tried out. In the order one would fix them. */
export const GUARD_PROBES: readonly Probe[] = [
  probe({ name: 'cgroup v2', needed: true, minimum: null, remedy: null, look: lookAtCgroup }),
  probe({
    name: 'bpffs',
    needed: true,
    minimum: null,
    remedy: null,
    look: () => {
      ensureBpffs();
      return `mounted at ${BPFFS}`;
    },
  }),
  probe({
    name: 'programs load',
    needed: true,
    minimum: '6.1',
    remedy: null,
    look: () => withPrograms((_, elapsed) => `${elapsed()} ms, for both modes`),
  }),
  probe({ name: 'attach', needed: true, minimum: '5.7', remedy: null, look: lookAtAttaching }),
  probe({
    name: 'others above',
    needed: false,
    minimum: null,
    remedy: 'have its owner attach it with BPF_F_ALLOW_MULTI, and it will see the run too',
    look: lookAtForeign,
  }),
  probe({
    name: CLOSING,
    needed: false,
    minimum: '6.7',
    remedy: 'boot a newer kernel, or have names asked by `dns` alone',
    look: () => {
      if (hasUnixConnect()) return 'those of resolvers and delegates outside a run can be closed to it';
      throw new Error(
        'those of resolvers and delegates outside a run cannot be closed to it, so enforce refuses them',
      );
    },
  }),
  probe({
    name: 'start inside',
    needed: true,
    minimum: '5.4',
    remedy: 'allow clone3 or clone, and writing cgroup.procs, where this process is confined',
    look: () => withCgroup(lookAtSpawn),
  }),
  probe({
    name: 'netns cookie',
    needed: true,
    minimum: '5.14',
    remedy: 'boot a newer kernel',
    look: () => `this network namespace is ${native().netnsCookie()}`,
  }),
  probe({
    name: 'sock_diag',
    needed: false,
    minimum: null,
    remedy: 'load it, or a call stopped at its first packet hangs until it times out: modprobe tcp_diag',
    look: lookAtSocketDestroy,
  }),
  probe({
    name: 'limits',
    needed: false,
    minimum: null,
    remedy: null,
    look: lookAtLimits,
  }),
];

/** A cgroup with nobody in it, as a run's would be. */
async function withCgroup<T>(use: (cgroup: Cgroup) => T | Promise<T>): Promise<T> {
  const cgroup = createCgroup(ownCgroup(), `acyclic-probe-${process.pid}`);
  try {
    return await use(cgroup);
  } finally {
    removeCgroup(cgroup.path);
  }
}

async function withPrograms<T>(use: (programs: Programs, elapsed: () => number) => T): Promise<T> {
  const start = performance.now();
  const programs = await loadPrograms(MODES, { closes: hasUnixConnect() });
  try {
    return use(programs, () => Math.round(performance.now() - start));
  } finally {
    programs.close();
  }
}

function lookAtCgroup(): Promise<string> {
  return withCgroup(() => `mounted at ${findCgroup2()}, runs are made below ${ownCgroup().path}`);
}

/** Every program of both modes on a cgroup, pinned, and off again. */
function lookAtAttaching(): Promise<string> {
  return withCgroup((cgroup) =>
    withPrograms((programs) => {
      const start = performance.now();
      programs.watch();
      programs.attach(cgroup, `probe-${process.pid}`, { modes: MODES, closes: programs.closes });
      return `to a cgroup and the scheduler, pinned: ${Math.round(performance.now() - start)} ms`;
    }),
  );
}

/** Those that forbid ours are told by attaching; those that yield would go unnoticed. */
function lookAtForeign(): string {
  const all = foreignPrograms(ownCgroup());
  if (all.length === 0) return 'no program on a cgroup above is in the way';
  const told = all.map((foreign) => `${foreign.hook}: ${describeForeign(foreign)}`);
  const effect = all.some(({ effect: how }) => how === 'forbids') ? 'forbids ours' : 'does not see a run';
  throw new Error(`${told.join(', ')} ${effect}`);
}

/** A child that is in the cgroup from its first instruction. */
async function lookAtSpawn(cgroup: Cgroup): Promise<string> {
  const child = withCgroupFd(cgroup, (cgroupFd) =>
    native().spawn({
      // The one program that is sure to be here; it is ended at once.
      file: process.execPath,
      args: ['node', '-e', 'setTimeout(() => {}, 5000)'],
      env: [],
      cwd: null,
      cgroupFd,
      ignoredSignals: 0n,
      nofileSoft: -1,
      fds: [],
    }),
  );
  try {
    const inside = readFileSync(`${cgroup.path}/cgroup.procs`, 'utf8').split('\n').includes(`${child.pid}`);
    if (!inside) throw new Error('a command could not be started in a cgroup');
    return 'a command starts in its cgroup, never outside';
  } finally {
    native().pidfdSendSignal(child.pidfd, SIGKILL);
    await new Promise<void>((resolve) => native().pidfdWatch(child.pidfd, resolve));
    native().waitChild(child.pid);
    native().closeFd(child.pidfd);
    await untilEmpty(cgroup);
  }
}

/** A cgroup is busy for a moment after its last process is reaped. */
async function untilEmpty(cgroup: Cgroup): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (/^populated 0$/m.test(readFileSync(`${cgroup.path}/cgroup.events`, 'utf8'))) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Destroys a connection of this process's own on loopback. */
async function lookAtSocketDestroy(): Promise<string> {
  const server = createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const accepted: Socket[] = [];
  server.on('connection', (socket) => accepted.push(socket.on('error', () => {})));
  const { port } = server.address() as { port: number };
  const client = connect(port, LOOPBACK);
  client.on('error', () => {});
  try {
    await once(client, 'connect');
    const loopback = Buffer.from([127, 0, 0, 1]);
    const destroyed = native().socketDestroy({
      protocol: IPPROTO_TCP,
      family: AF_INET,
      source: loopback,
      sourcePort: client.localPort ?? 0,
      destination: loopback,
      destinationPort: port,
      cookie: null,
    });
    if (!destroyed) throw new Error('a connection could not be destroyed: it was not found');
    return 'a connection can be ended for its owner';
  } finally {
    client.destroy();
    for (const socket of accepted) socket.destroy();
    server.close();
  }
}

/** A run started from where this is: elsewhere it may be otherwise. */
function lookAtLimits(): string {
  checkLimits(ownCgroup(), ['cpu', 'memory', 'tasks'], process.pid);
  return 'cpu, memory and tasks of a run can be limited from here';
}
