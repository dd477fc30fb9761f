import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { acyclic, remains } from '../cli/harness.ts';
import { type Lab, type LabOptions, startLab } from '../lab/lab.ts';

/** An event of a report, as far as these tests look into it. */
export interface Told {
  readonly kind: string;
  readonly verdict: string | null;
  readonly destination: {
    readonly address: string | null;
    readonly names: readonly string[];
    readonly service: string | null;
  };
  readonly rule: { readonly kind: string } | null;
}

export interface Guarded {
  readonly code: number | null;
  /** Standard output and error, in the order they were written. */
  readonly output: string;
  readonly events: readonly Told[];
  readonly lookups: readonly Told[];
  readonly denials: number;
  readonly ms: number;
  /** What arrived at the world's DNS servers meanwhile: `github.com AAAA`. */
  readonly asked: readonly string[];
}

export interface GuardedOptions {
  /** Flags of `acyclic run` beside policy and report. */
  readonly flags?: readonly string[];
  /** Default: the lab's, of both families. */
  readonly servers?: readonly string[];
  /** Lines for resolv.conf beside the name servers. */
  readonly resolv?: readonly string[];
  readonly policy?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A lab in which commands look names up, guarded. */
export interface Ground {
  readonly lab: Lab;
  file(name: string, text: string): Promise<string>;
  guarded(argv: readonly string[], options?: GuardedOptions): Promise<Guarded>;
  /** Throws when runs have left something behind. */
  close(): Promise<void>;
}

/** Lays a resolv.conf of the test's over the lab's, in the command's own mount namespace. */
const WITH_RESOLV = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';

export async function openGround(policy: string, labOptions: LabOptions = {}): Promise<Ground> {
  const ids = new Set<string>();
  const lab = await startLab({ tls: false, ...labOptions });
  let files = 0;
  const file: Ground['file'] = async (name, text) => {
    const place = path.join(lab.dir, name);
    await writeFile(place, text);
    return place;
  };
  return {
    lab,
    file,
    async guarded(argv, options = {}) {
      const {
        flags = [],
        servers: asked = lab.addresses.dns,
        resolv = [],
        policy: own = policy,
        env = {},
      } = options;
      const id = files++;
      const report = path.join(lab.dir, `report-${id}.jsonl`);
      const servers = asked.map((address) => `nameserver ${address}`);
      const conf = await file(
        `resolv-${id}.conf`,
        `${[...servers, 'options timeout:2', ...resolv].join('\n')}\n`,
      );
      const rules = await file(`policy-${id}.yaml`, own);
      const run = [acyclic, 'run', '--quiet', '-p', rules, '--report', report, ...flags, '--', ...argv];
      const earlier = (await lab.world.queries()).length;
      const command = ['sh', '-c', WITH_RESOLV, 'sh', conf, ...run];
      const { code, stdout, ms } = await lab.client.run(command, { merge: true, env, timeoutMs: 40_000 });
      const arrived = (await lab.world.queries()).slice(earlier).map(({ detail }) => detail ?? '');
      const lines = readFileSync(report, 'utf8').trimEnd().split('\n');
      const events: Told[] = lines.map((line) => JSON.parse(line));
      const summary = events.pop() as unknown as { denials: number; run: string };
      ids.add(summary.run);
      const lookups = events.filter(({ kind }) => kind === 'dns');
      return { code, output: stdout, events, lookups, denials: summary.denials, ms, asked: arrived };
    },
    async close() {
      await lab.stop();
      const left = remains().filter((what) => [...ids].some((id) => what.includes(id)));
      if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
    },
  };
}
