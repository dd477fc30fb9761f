import { Command } from 'commander';
import { createOutput, harmless, printResult } from './output.ts';
import {
  DEPLOYMENT_OPTION,
  FINDINGS,
  JSON_OPTION,
  REPORT_OPTION,
  SINCE_OPTION,
  STATE_OPTION,
} from './policy-options.ts';

const EXAMPLES = `
Exit status: 0 no call that was allowed would be denied, 1 one would be, 2 it cannot be told. Fit for a CI gate.

Examples:
  sudo acyclic policy replay next.yaml --since 7d
  acyclic policy replay next.yaml --report calls.jsonl
  acyclic policy replay next.yaml --report monday.jsonl --report tuesday.jsonl --json`;

interface Options {
  readonly deployment?: string;
  readonly report?: string[];
  readonly state?: string;
  readonly since?: string;
  readonly json?: true;
}

/** `acyclic policy replay`: which recorded calls another policy would decide differently. */
export function policyReplayCommand(): Command {
  return new Command('replay')
    .description('judge what was recorded by another policy')
    .argument('<policy>', 'policy file or directory')
    .addOption(REPORT_OPTION)
    .addOption(STATE_OPTION)
    .addOption(SINCE_OPTION)
    .addOption(DEPLOYMENT_OPTION)
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, options: Options) => {
      const [
        { compileHere, requirePolicy },
        { openPast, readSince },
        { breaks, Replayer },
        { formatTarget },
        { namedDelegateAt },
        text,
      ] = await Promise.all([
        import('./policy-loading.ts'),
        import('./past.ts'),
        import('../policy/replay.ts'),
        import('../model/target.ts'),
        import('../guard/delegates.ts'),
        import('./replay-text.ts'),
      ]);
      const { json = false, deployment = null } = options;
      const loaded = requirePolicy(path);
      const { deployments } = loaded.policy;
      const compiled = new Map<string | null, ReturnType<typeof compileHere> | null>();
      const policyFor = (recorded: string | null) => {
        const name = recorded ?? deployment;
        const known = compiled.get(name);
        if (known !== undefined) return known;
        const found = name !== null && !deployments.has(name) ? null : compileHere(loaded.policy, name);
        compiled.set(name, found);
        return found;
      };
      const past = openPast(options, createOutput({ quiet: false, json }));
      const since = options.since === undefined ? null : readSince(options.since);
      const replayer = new Replayer({ policyFor, target: formatTarget, delegateAt: namedDelegateAt });
      for await (const event of past.events({ run: null, deployment: null, since }))
        if (deployment === null || event.deployment === null || event.deployment === deployment)
          if (event.attached === undefined)
            // What an attached service called is of no deployment.
            replayer.add(event);
      const replay = replayer.result();
      if (json) printResult(JSON.stringify({ v: 1, policy: loaded.id, ...text.replayAsJson(replay) }));
      else printResult(text.formatReplay(replay, { path, id: loaded.id }).map(harmless).join('\n'));
      process.exitCode = breaks(replay) ? FINDINGS : 0;
    });
}
