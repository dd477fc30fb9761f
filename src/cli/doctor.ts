import { Command } from 'commander';
import type { Finding } from '../kernel/probe.ts';
import { harmless } from './output.ts';

const CANNOT_GUARD = 1;
const STATE_COLUMN = 8;
const NAME_COLUMN = 14;

/** From bench/README.md, which says how it was measured. */
const COST = {
  connect_us: 1,
  text: 'about 1 µs more a connect; an established connection pays nothing that can be measured',
};

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
    .action(async ({ json }: { json?: boolean }) => {
      const [{ checkup }, { sweep }] = await Promise.all([
        import('../guard/checkup.ts'),
        import('../guard/sweep.ts'),
      ]);
      if (process.getuid?.() === 0) await sweep();
      const findings = await checkup();
      const able = findings.every(({ state }) => state !== 'missing');
      if (json) process.stdout.write(`${JSON.stringify({ able, findings, cost: COST })}\n`);
      else process.stdout.write(`${[...findings.flatMap(lines), ...verdict(able)].join('\n')}\n`);
      process.exitCode = able ? 0 : CANNOT_GUARD;
    });
}

function lines({ name, state, detail, remedy }: Finding): string[] {
  const first = `${state.padEnd(STATE_COLUMN)} ${name.padEnd(NAME_COLUMN)} ${harmless(detail)}`;
  return remedy === null
    ? [first]
    : [first, `${' '.repeat(STATE_COLUMN + NAME_COLUMN + 1)} → ${harmless(remedy)}`];
}

function verdict(able: boolean): string[] {
  if (!able) return ['a run cannot be guarded here'];
  return [
    `${'cost'.padEnd(STATE_COLUMN)} ${'a guarded call'.padEnd(NAME_COLUMN)} ${COST.text}`,
    'a run can be guarded here',
  ];
}
