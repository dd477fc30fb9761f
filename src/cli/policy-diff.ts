import { Command } from 'commander';
import { harmless, printResult } from './output.ts';
import { FINDINGS, JSON_OPTION } from './policy-options.ts';

const EXAMPLES = `
Meaning is compared, not text: order, comments and other ways of writing the same are no difference.
Exit status: 0 they mean the same, 1 they differ, 2 one of them cannot be read.

Examples:
  acyclic policy diff /etc/acyclic acyclic.yaml
  git show HEAD:acyclic.yaml > /tmp/before.yaml && acyclic policy diff /tmp/before.yaml acyclic.yaml`;

/** `acyclic policy diff`: what becomes allowed, denied, or somebody else's, from one policy to another. */
export function policyDiffCommand(): Command {
  return new Command('diff')
    .description('compare what two policies mean')
    .argument('<before>', 'policy file or directory')
    .argument('<after>', 'policy file or directory')
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async (before: string, after: string, { json }: { json?: true }) => {
      const [{ loadPolicy }, { diffPolicies, isSame }, { diffAsJson, formatDiff }] = await Promise.all([
        import('../guard/policy-files.ts'),
        import('../policy/diff.ts'),
        import('../policy/diff-text.ts'),
      ]);
      const [was, is] = [loadPolicy(before), loadPolicy(after)];
      const diff = diffPolicies(was.policy, is.policy, new Date());
      if (json) printResult(JSON.stringify({ v: 1, before: was.id, after: is.id, ...diffAsJson(diff) }));
      else printResult(formatDiff(diff).map(harmless).join('\n'));
      process.exitCode = isSame(diff) ? 0 : FINDINGS;
    });
}
