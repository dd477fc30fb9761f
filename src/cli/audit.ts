import { Command } from 'commander';
import { exportCommand } from './audit-export.ts';
import { listCommand } from './audit-list.ts';
import { showCommand } from './audit-show.ts';
import { statsCommand } from './audit-stats.ts';

const EXAMPLES = `
Exit status: 0 the question was answered, if only with nothing; 2 it could not be.

Examples:
  sudo acyclic audit list --verdict deny --since today
  sudo acyclic audit show 01KAR2S0RW
  sudo acyclic audit stats --since 7d
  sudo acyclic audit export --since 2026-11-01 > november.jsonl`;

/** `acyclic audit`: what was recorded, asked in four ways. */
export function auditCommand(): Command {
  const command = new Command('audit')
    .description('what runs called, and what was decided')
    .addHelpText('after', EXAMPLES);
  for (const create of [listCommand, showCommand, statsCommand, exportCommand]) command.addCommand(create());
  return command;
}
