import { Command } from 'commander';
import { createOutput, Failure, harmless, printResult } from './output.ts';
import { JSON_OPTION } from './policy-options.ts';

const EXAMPLES = `
Reads resolv.conf, the sources of apt, time servers (timesyncd, chrony, ntp), syslog targets and signs of a cloud.
It never writes over a file. Exit status: 0 written, 2 it cannot be.

Examples:
  acyclic policy init -d mysql > acyclic.yaml
  sudo acyclic policy init -d mysql --output /etc/acyclic/acyclic.yaml`;

interface Options {
  readonly deployment: string;
  readonly output?: string;
  readonly root: string;
  readonly json?: true;
}

/** `acyclic policy init`: a first policy, from this host's own settings. */
export function policyInitCommand(): Command {
  return new Command('init')
    .description("a first policy, from this host's own settings")
    .option('-d, --deployment <name>', 'what is deployed', 'deploy')
    .option('--output <file>', 'write it to a new file; default: standard output')
    .option('--root <directory>', 'read the settings below this directory, as of an image', '/')
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async ({ deployment, output, root, json }: Options) => {
      if (json && output !== undefined)
        throw new Failure('contradiction', '--json and --output contradict each other', 'leave one out');
      const { describeHost } = await import('../guard/host-settings.ts');
      const [{ firstPolicy }, { nameFault }] = await Promise.all([
        import('../policy/init.ts'),
        import('../policy/object-name.ts'),
      ]);
      const fault = nameFault('deployment', deployment);
      if (fault) throw new Failure('bad-value', fault.message, fault.suggestion);
      const host = describeHost(root);
      const taken = [...host.facts.map(({ use }) => use), 'cloud-metadata'].find((use) => use === deployment);
      if (taken)
        throw new Failure(
          'bad-value',
          `a service is called \`${taken}\``,
          'call the deployment something else',
        );
      const text = firstPolicy({ ...host, deployment, day: new Date().toISOString().slice(0, 10) });
      if (json) printResult(JSON.stringify({ v: 1, deployment, text, ...host }));
      else if (output === undefined) printResult(text);
      else await write(output, text);
    });
}

async function write(path: string, text: string): Promise<void> {
  const { writeFile } = await import('node:fs/promises');
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' ? 'there is such a file' : message;
    throw new Failure('bad-value', `cannot write ${harmless(path)}: ${reason}`, 'name a new file');
  }
  createOutput({ quiet: false, json: false }).say('info', [`acyclic: wrote ${path}`]);
}
