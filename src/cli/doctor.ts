import { Command } from 'commander';
import type { Cost } from '../guard/cost.ts';
import type { Finding } from '../kernel/probe.ts';
import { createOutput, harmless } from './output.ts';

const CANNOT_GUARD = 1;
const STATE_COLUMN = 8;
const NAME_COLUMN = 14;

const EXAMPLES = `
Exit status: 0 a run can be guarded, 1 it cannot, 2 the question could not be answered.

Examples:
  sudo acyclic doctor
  sudo acyclic doctor --json | jq '.findings[] | select(.state != "ok")'`;

/** `acyclic doctor`: what this kernel and host offer, what is missing, what it costs. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('what this kernel and host can do')
    .option('--json', 'one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async ({ json = false }: { json?: boolean }) => {
      process.exitCode = await examine(json);
    });
}

async function examine(json: boolean): Promise<number> {
  const [{ checkup }, { HeldSignals }, { sweep }, { tellSwept }, { SetupFailure }] = await Promise.all([
    import('../guard/checkup.ts'),
    import('../guard/held-signals.ts'),
    import('../guard/sweep.ts'),
    import('./teller.ts'),
    import('../kernel/failure.ts'),
  ]);
  const held = new HeldSignals();
  try {
    // What keeps it from clearing up is a finding below.
    const swept = await sweep().catch((error: unknown) => {
      if (error instanceof SetupFailure) return [];
      throw error;
    });
    const output = createOutput({ quiet: false, json });
    for (const each of swept) tellSwept(output, each);
    const { findings, cost } = await checkup();
    if (held.exit !== null) return held.exit;
    const able = findings.every(({ state }) => state !== 'missing');
    const told = json ? [JSON.stringify(asJson(able, findings, cost))] : asText(able, findings, cost);
    process.stdout.write(`${told.join('\n')}\n`);
    return able ? 0 : CANNOT_GUARD;
  } finally {
    held.release();
  }
}

function asJson(able: boolean, findings: readonly Finding[], cost: Cost | null): object {
  return {
    v: 1,
    able,
    findings,
    cost: cost && {
      call: cost.call && {
        bare_us: rounded(cost.call.bareUs),
        guarded_us: rounded(cost.call.guardedUs),
        ratio: rounded(cost.call.guardedUs / cost.call.bareUs),
      },
      set_up_ms: rounded(cost.setUpMs),
      finish_ms: rounded(cost.finishMs),
    },
  };
}

function asText(able: boolean, findings: readonly Finding[], cost: Cost | null): string[] {
  return [
    ...findings.flatMap(linesOf),
    ...(cost?.call ? [row('cost', 'a call', costText(cost.call))] : []),
    able ? 'a run can be guarded here' : 'a run cannot be guarded here',
  ];
}

/** A remedy that was given for something above is not given again. */
function linesOf({ name, state, detail, remedy }: Finding, at: number, all: readonly Finding[]): string[] {
  const first = row(state, name, harmless(detail));
  const given = remedy === null || all.slice(0, at).some((earlier) => earlier.remedy === remedy);
  return given ? [first] : [first, row('', '', `→ ${harmless(remedy)}`)];
}

function row(state: string, name: string, text: string): string {
  return `${state.padEnd(STATE_COLUMN)} ${name.padEnd(NAME_COLUMN)} ${text}`;
}

function costText({ bareUs, guardedUs }: NonNullable<Cost['call']>): string {
  const [bare, guarded, ratio] = [bareUs, guardedUs, guardedUs / bareUs].map((value) => value.toFixed(2));
  return `${bare} µs bare, ${guarded} µs guarded: ${ratio}× (connect and close on loopback, median, just now)`;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
