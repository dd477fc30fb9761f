import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/**
 * Something that reached the world, as the world saw it. `address` and `port` are what was called;
 * `source` is the caller's `address:port`.
 */
export interface WorldRecord {
  /** A TCP connection accepted, a UDP datagram, an HTTP request, a DNS question. */
  readonly kind: 'connection' | 'datagram' | 'request' | 'query';
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  readonly source: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** `GET https://github.com/path` for a request, `github.com AAAA` for a query, the SNI of a TLS connection. */
  readonly detail: string | null;
}

/** Told of everything that arrives. */
export type Recorder = (record: Omit<WorldRecord, 'at'>) => void;

/** One server of the world, listening. */
export interface Server {
  /** What `toggle` calls it. */
  readonly name: string;
  close(): Promise<void>;
}

/** A server that may be taken down and brought back while the world runs. */
export type StartServer = () => Promise<Server>;

/** What the parent writes: the plan first, then orders, one JSON line each. End of input ends the world. */
export type WorldOrder = { readonly sync: number } | { readonly toggle: string; readonly up: boolean };

/** What the world writes, one JSON line each. */
export type WorldReport =
  | { readonly entered: true }
  | { readonly ready: true }
  | { readonly synced: number }
  | { readonly toggled: string; readonly error: string | null }
  | { readonly record: WorldRecord }
  | { readonly failed: string };

/**
 * The life of the world process: says that it runs, waits for its plan, starts its servers, and from then on
 * reports all that arrives. Returns when its input ends, with everything closed.
 *
 * @param servers Given the plan as parsed from JSON; each entry is a server by name.
 */
export async function serveWorld<Plan>(
  input: Readable,
  output: Writable,
  servers: (plan: Plan, record: Recorder) => ReadonlyMap<string, StartServer>,
): Promise<void> {
  const say = (report: WorldReport) => output.write(`${JSON.stringify(report)}\n`);
  const record: Recorder = (seen) => say({ record: { ...seen, at: Date.now() } });
  const running = new Map<string, Server>();
  let starters: ReadonlyMap<string, StartServer> | null = null;

  const toggle = async (name: string, up: boolean) => {
    const starter = starters?.get(name);
    if (!starter) throw new Error(`no server is called ${name}`);
    const server = running.get(name);
    if (up && !server) running.set(name, await starter());
    if (!up) running.delete(name);
    if (!up) await server?.close();
  };
  const obey = async (order: WorldOrder) => {
    if ('sync' in order) {
      // Let what the kernel has queued for our sockets come through first.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      say({ synced: order.sync });
    } else {
      const error = await toggle(order.toggle, order.up).then(
        () => null,
        (reason: Error) => reason.message,
      );
      say({ toggled: order.toggle, error });
    }
  };

  say({ entered: true });
  try {
    for await (const line of createInterface({ input })) {
      if (starters) await obey(JSON.parse(line) as WorldOrder);
      else {
        starters = servers(JSON.parse(line) as Plan, record);
        await Promise.all([...starters.keys()].map((name) => toggle(name, true)));
        say({ ready: true });
      }
    }
  } catch (error) {
    say({ failed: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    await Promise.all([...running.values()].map((server) => server.close()));
  }
}
