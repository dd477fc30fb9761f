import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { ulid } from 'ulid';
import type { NativeError } from '../kernel/binding.ts';
import { moveProcess, ownCgroup } from '../kernel/cgroup.ts';
import { native } from '../kernel/native.ts';
import { compile } from '../policy/compile.ts';
import { ownAddresses } from './own-addresses.ts';
import type { RunGuard } from './run-guard.ts';
import { startSession } from './session.ts';

/** Socket, connect and close of TCP on loopback, median microseconds: bare, and in a run, allowed and recorded. */
interface CallCost {
  readonly bareUs: number;
  readonly guardedUs: number;
}

/** What the guard costs here and now. */
export interface Cost {
  /** Null where there is no loopback to try it on. */
  readonly call: CallCost | null;
  /** Milliseconds to put a guard up, and to take it down. */
  readonly setUpMs: number;
  readonly finishMs: number;
}

const ROUNDS = 4;
/** Below the listener's backlog: nothing is accepted while this thread connects. */
const CALLS_A_ROUND = 500;
const BACKLOG = 1024;

/**
 * Guards this very process for a moment, in enforce and with a policy that allows all, and compares. Takes about
 * half a second. Throws SetupFailure as a run would.
 */
export async function measureCost(): Promise<Cost> {
  const origin = ownCgroup().path;
  const server = await listen();
  try {
    const start = performance.now();
    const session = await startSession(sessionOptions());
    const setUpMs = performance.now() - start;
    const call = await measure(session, origin, server).catch(async (error: NativeError) => {
      if (error.code === 'ENETUNREACH') return null;
      await session.finish();
      throw error;
    });
    const end = performance.now();
    await session.finish();
    return { call, setUpMs, finishMs: performance.now() - end };
  } finally {
    server.close();
  }
}

function sessionOptions(): Parameters<typeof startSession>[0] {
  const compileFor = (addresses: ReturnType<typeof ownAddresses>) =>
    compile(null, {
      deployment: null,
      allow: [],
      deny: [],
      default: 'allow',
      mode: 'enforce',
      now: new Date(),
      ownAddresses: addresses,
    });
  return {
    id: ulid(),
    host: hostname(),
    deployment: null,
    policy: compileFor(ownAddresses()),
    policyElsewhere: compileFor([]),
    policyId: null,
    staged: null,
    leftover: 'release',
    syscalls: false,
    onDenied: () => {},
    onUnwatched: () => {},
    onEvent: () => {},
    onLost: () => {},
  };
}

/** Bare and guarded in turns, so that what else the machine does weighs on both. */
async function measure(session: RunGuard, origin: string, server: Server): Promise<CallCost> {
  const bare: number[] = [];
  const guarded: number[] = [];
  await connectAll(server);
  for (let round = 0; round < ROUNDS; round++) {
    bare.push(...(await connectAll(server)));
    moveProcess(process.pid, session.cgroup.path);
    try {
      guarded.push(...(await connectAll(server)));
    } finally {
      moveProcess(process.pid, origin);
    }
  }
  return { bareUs: median(bare) / 1000, guardedUs: median(guarded) / 1000 };
}

/** Nanoseconds of each call; resolves when the server has seen them all. */
async function connectAll(server: Server): Promise<number[]> {
  const { port } = server.address() as { port: number };
  let waiting = CALLS_A_ROUND;
  const seen = new Promise<void>((resolve) => {
    server.on('connection', (socket) => {
      socket.on('error', () => {}).destroy();
      waiting--;
      if (waiting === 0) resolve();
    });
  });
  const times = native().connectTimes(port, CALLS_A_ROUND);
  await seen;
  server.removeAllListeners('connection');
  return Array.from({ length: CALLS_A_ROUND }, (_, at) => times.readUInt32LE(at * 4));
}

async function listen(): Promise<Server> {
  const server = createServer().listen({ host: '127.0.0.1', port: 0, backlog: BACKLOG });
  await once(server, 'listening');
  return server;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
