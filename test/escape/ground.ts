import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { remains } from '../cli/harness.ts';
import { type CommandResult, type Lab, type RunOptions, startLab } from '../lab/lab.ts';
import { readReport } from '../report.ts';

export const ACYCLIC = path.join(import.meta.dirname, '../../bin/acyclic');

/** Circular by its addresses and names. */
export const DENIED = ['192.0.2.7', '2001:db8:9::7'] as const;
/** The echo service, on every port. */
export const ALLOWED = ['10.86.0.60', '2001:db8:86::60'] as const;

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github:
    hosts: [github.com, "*.github.com"]
    addresses: [192.0.2.0/24, "2001:db8:9::/48"]
    depends_on: [mysql]
deployments:
  mysql:
    allow:
      - { address: 10.86.0.60 }
      - { address: "2001:db8:86::60" }
      - { host: "*.mirror.internal" }
`;

/** An event of a report, as far as these tests look into it. */
export interface Told {
  readonly kind: string;
  readonly verdict: string | null;
  readonly hook: string | null;
  readonly destination: { readonly address: string | null; readonly names: readonly string[] } | null;
  readonly rule: { readonly kind: string; readonly reason: string | null } | null;
  readonly process: { readonly pid: number; readonly comm: string } | null;
}

export interface GuardedResult extends CommandResult {
  readonly events: readonly Told[];
  readonly summary: { readonly denials: number; readonly lost: Readonly<Record<string, number>> };
}

/** A lab in which scripts try to get out. What got out is for the world's own record to say. */
export interface Ground {
  readonly lab: Lab;
  readonly policy: string;
  /** Writes a file and gives its path. */
  file(name: string, text: string): Promise<string>;
  /** `acyclic run` on the policy, in enforce. */
  guarded(
    argv: readonly string[],
    options?: RunOptions & { flags?: readonly string[] },
  ): Promise<GuardedResult>;
  /** A guarded command of which nothing may come to the denied places; throws when something did. */
  held(...argv: string[]): Promise<GuardedResult>;
  /** Everything that came to the denied places by their servers' and kernel's count, while `act` was done. */
  leaked(act: () => Promise<unknown>): Promise<Leak>;
  /** Throws when runs have left something behind since the ground was opened. */
  stop(): Promise<void>;
}

/** Connections, datagrams and requests at the denied servers, questions for denied names, and packets of any kind. */
export interface Leak {
  readonly records: readonly string[];
  readonly packets: number;
}

export const NOTHING: Leak = { records: [], packets: 0 };

export async function openGround(): Promise<Ground> {
  const before = remains();
  const lab = await startLab();
  const file: Ground['file'] = async (name, text) => {
    const place = path.join(lab.dir, name);
    await writeFile(place, text, { mode: 0o755 });
    return place;
  };
  const policy = await file('policy.yaml', POLICY);
  /** Packets the world's kernel took in: TCP, UDP, IPv4 of any kind, and pings of IPv6. */
  const packets = async () => {
    const { tcp, udp, ipv4 } = await lab.world.received();
    const counters = readFileSync(`/proc/${lab.world.process.pid}/net/snmp6`, 'utf8');
    return tcp + udp + ipv4 + Number(/^Icmp6InEchos\s+(\d+)/m.exec(counters)?.[1]);
  };
  const denied = (address: string) => /^(192\.0\.2\.|2001:db8:9:)/.test(address);
  const records = async () => [
    ...[...(await lab.world.connections()), ...(await lab.world.requests())]
      .filter(({ address }) => denied(address))
      .map(({ kind, protocol, address, port }) => `${kind} ${address} ${port}/${protocol}`),
    ...(await lab.world.queries()).map(({ detail }) => `${detail}`).filter((text) => /github/i.test(text)),
  ];
  let reports = 0;
  const ground: Ground = {
    lab,
    policy,
    file,
    async guarded(argv, { flags = [], ...options } = {}) {
      const report = path.join(lab.dir, `report-${reports++}.jsonl`);
      const command = [ACYCLIC, 'run', '--quiet', '-p', policy, '--report', report, ...flags, '--', ...argv];
      const result = await lab.client.run(command, options);
      const events = readReport(report);
      return { ...result, events, summary: events.pop() };
    },
    async held(...argv) {
      const done: GuardedResult[] = [];
      const { records: leaked } = await ground.leaked(async () => done.push(await ground.guarded(argv)));
      const [result] = done;
      if (!result || leaked.length > 0) throw new Error(`${argv.join(' ')}: got out: ${leaked.join(', ')}`);
      return result;
    },
    async leaked(act) {
      const [before, arrived] = [await records(), await packets()];
      await act();
      const [after, later] = [await records(), await packets()];
      return { records: after.slice(before.length), packets: later - arrived };
    },
    async stop() {
      await lab.stop();
      const left = remains().filter((what) => !before.includes(what));
      if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
    },
  };
  return ground;
}

/** Compiles test/kernel/fixtures/dial.c, which makes a call of any kind: see its head. */
export function compileDial(directory: string): string {
  const program = path.join(directory, 'dial');
  execFileSync('cc', ['-O1', '-o', program, path.join(import.meta.dirname, '../kernel/fixtures/dial.c')]);
  return program;
}
