import { Command } from 'commander';
import { createOutput, printResult } from './output.ts';
import { plural, STATE_OPTION } from './policy-options.ts';

const EXAMPLES = `
Each edge keeps its host and its age. To merge a file again changes nothing; edges not seen for a year are dropped.
Needs to write the state directory, so mostly root.
Exit status: 0 merged, 2 it cannot be, and then nothing is changed.

Examples:
  sudo acyclic graph merge observed.jsonl
  ssh mig-1 acyclic graph export --observed | sudo acyclic graph merge /dev/stdin`;

/** `acyclic graph merge`: takes in what was seen on other hosts. */
export function graphMergeCommand(): Command {
  return new Command('merge')
    .description('take in what was seen on other hosts')
    .argument('<file...>', 'what `graph export --observed` printed there')
    .addOption(STATE_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (files: readonly string[], { state }: { state?: string }) => {
      const [{ keepEdges, readEdgeFile }, { stateDirectory }] = await Promise.all([
        import('../guard/observed-file.ts'),
        import('../audit/state-directory.ts'),
      ]);
      const edges = files.flatMap(readEdgeFile);
      const kept = keepEdges(stateDirectory(state ?? null), edges, new Date());
      const hosts = new Set(kept.map(({ host }) => host)).size;
      if (edges.length === 0)
        createOutput({ quiet: false, json: false }).say('warning', ['acyclic: there was no edge to merge']);
      printResult(
        `merged ${plural(edges.length, 'edge')}; there are ${kept.length} now, of ${plural(hosts, 'host')}`,
      );
    });
}
