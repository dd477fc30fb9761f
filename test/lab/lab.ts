import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import { makeCertificate } from '../../src/demo/certificate.ts';
import type { Client } from '../../src/demo/client.ts';
import { TLS_NAMES, ZONE } from '../../src/demo/places.ts';
import { type Sandbox, startSandbox } from '../../src/demo/sandbox.ts';
import type { WorldRecord } from '../../src/demo/world.ts';
import { makeContent } from './content.ts';
import type { Zone as RecordZone } from './dns-zone.ts';
import { LAB_ADDRESSES, LAB_HOSTS, UNREACHABLE_PREFIXES } from './places.ts';
import type { LabPlan } from './services.ts';

export type { CommandResult, RunOptions } from '../../src/demo/client.ts';
export type { WorldRecord } from '../../src/demo/world.ts';

export interface LabOptions {
  /**
   * Names beside LAB_HOSTS: addresses, or one name they are an alias of. At an address of no other server, web
   * servers (80, 443) and echoes (TCP and UDP 7) are started.
   */
  readonly hosts?: Readonly<Record<string, readonly string[]>>;
  /** Records of any type beside them, over those of the same name; the lab's DNS server then has them all. */
  readonly records?: RecordZone;
  /** Default true; without, there is no HTTPS (and no 60 ms of openssl). */
  readonly tls?: boolean;
  /** Lines of the client's /etc/hosts beside those for localhost. */
  readonly etcHosts?: readonly string[];
  /** The client's resolvers; default the lab's DNS server, by both families. */
  readonly nameservers?: readonly string[];
}

/** What the kernel of the world's namespace counted, its own loopback included: no server has to see it. */
export interface Received {
  /** TCP segments of both families, refused connections included. */
  readonly tcp: number;
  /** UDP datagrams of both families, those nobody listens for included. */
  readonly udp: number;
  /** IPv4 packets of any protocol and to any address, dropped ones included. */
  readonly ipv4: number;
}

/** A sandbox with a world of servers, for tests on real sockets. Labs at once do not see each other. */
export interface Lab {
  /** Runs commands in the client's network namespace; each gets `env` beside PATH, LANG and HOME. */
  readonly client: Pick<Client, 'run' | 'spawn' | 'env' | 'home' | 'namespace'>;
  readonly world: {
    /** Every TCP connection accepted and every datagram that came to a server. */
    connections(): Promise<readonly WorldRecord[]>;
    /** Every HTTP request; `detail` is `GET https://github.com/path`. */
    requests(): Promise<readonly WorldRecord[]>;
    /** Every DNS question; `detail` is `github.com AAAA`. */
    queries(): Promise<readonly WorldRecord[]>;
    received(): Promise<Received>;
    /** Takes a server down or brings it back: `dns`, `github:443`, `mysql`, `echo`, … (see services.ts). */
    toggle(server: string, up: boolean): Promise<void>;
    readonly process: ChildProcess;
  };
  readonly addresses: typeof LAB_ADDRESSES;
  /** PEM file of the authority the lab's certificates are from; clients trust it through their environment. */
  readonly ca: string;
  /** A temporary directory, removed with the lab. */
  readonly dir: string;
  stop(): Promise<void>;
}

/** Starts a lab: about 0.3 s. Needs root. */
export async function startLab(options: LabOptions = {}): Promise<Lab> {
  const { hosts = {}, tls = true, etcHosts = [], nameservers = LAB_ADDRESSES.dns } = options;
  const zone = { ...ZONE, ...LAB_HOSTS, ...hosts };
  const known: readonly string[] = Object.values(LAB_ADDRESSES).flat();
  const listed = Object.values(hosts).flat();
  const extra = [...new Set(listed)].filter((entry) => isIP(entry) !== 0 && !known.includes(entry));
  const { blackhole, unreachable, ...served } = LAB_ADDRESSES;
  const addresses = [...Object.values(served).flat(), ...extra];
  const sandbox = await startSandbox({
    name: 'acyclic-lab',
    network: { addresses, blackholes: blackhole, unreachable: UNREACHABLE_PREFIXES },
    client: (dir) => ({
      nameservers,
      hosts: etcHosts,
      env: { ...(tls ? trust(path.join(dir, 'ca.pem')) : {}), ACYCLIC_STATE: path.join(dir, 'state') },
    }),
    world: [process.execPath, path.join(import.meta.dirname, 'world.ts')],
    plan: async (dir): Promise<LabPlan> => {
      const root = path.join(dir, 'www');
      const names = [...TLS_NAMES, ...Object.keys(hosts), ...addresses.map((address) => `IP:${address}`)];
      const [certificate] = await Promise.all([tls ? makeCertificate(dir, names) : null, makeContent(root)]);
      return { certificate, zone, records: options.records ?? null, root, extra };
    },
  });
  return asLab(sandbox);
}

function asLab({ client, world, dir, stop }: Sandbox): Lab {
  const ofKind = async (...kinds: WorldRecord['kind'][]) =>
    (await world.records()).filter(({ kind }) => kinds.includes(kind));
  return {
    client,
    dir,
    stop,
    ca: path.join(dir, 'ca.pem'),
    addresses: LAB_ADDRESSES,
    world: {
      connections: () => ofKind('connection', 'datagram'),
      requests: () => ofKind('request'),
      queries: () => ofKind('query'),
      received: () => received(world.namespace.pid),
      toggle: (server, up) => world.toggle(server, up),
      process: world.process,
    },
  };
}

/** How each kind of client is told of an authority. */
function trust(ca: string): Record<string, string> {
  return {
    CURL_CA_BUNDLE: ca,
    SSL_CERT_FILE: ca,
    GIT_SSL_CAINFO: ca,
    NODE_EXTRA_CA_CERTS: ca,
    REQUESTS_CA_BUNDLE: ca,
    npm_config_cafile: ca,
  };
}

async function received(pid: number): Promise<Received> {
  const [v4 = '', v6 = ''] = await Promise.all(
    ['snmp', 'snmp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8')),
  );
  const of4 = (group: string, field: string) => {
    const [names, values] = v4
      .split('\n')
      .filter((line) => line.startsWith(`${group}: `))
      .map((line) => line.split(' '));
    return Number(values?.[names?.indexOf(field) ?? -1]);
  };
  const of6 = (field: string) => Number(new RegExp(`^${field}\\s+(\\d+)`, 'm').exec(v6)?.[1]);
  return {
    tcp: of4('Tcp', 'InSegs'),
    udp: of4('Udp', 'InDatagrams') + of4('Udp', 'NoPorts') + of6('Udp6InDatagrams') + of6('Udp6NoPorts'),
    ipv4: of4('Ip', 'InReceives'),
  };
}
