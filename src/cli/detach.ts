import { Command } from 'commander';
import { addTargetOptions, type GivenTarget, readTarget } from './attach-options.ts';
import { detachThroughDaemon } from './daemon-attach.ts';
import { daemonSocket } from './daemon-choice.ts';
import { Failure, printResult } from './output.ts';

const EXAMPLES = `
Exit status: 0 it is detached; 2 it is not.

Examples:
  sudo acyclic detach 01KAR2RZ8T5N0W3M2B7XK4D9VH
  sudo acyclic detach --service migrations
  sudo acyclic detach --unit migrations`;

interface DetachOptions extends GivenTarget {
  readonly socket?: string;
  readonly service?: string;
}

/** `acyclic detach`: ends what `acyclic attach` began, by the daemon or in the foreground. The processes go on. */
export function detachCommand(): Command {
  const command = addTargetOptions(
    new Command('detach')
      .description('end an attach')
      .argument('[id]', 'the id of an attach, or its beginning if no other has it')
      .option('--service <name>', 'every attach of this service'),
  ).addHelpText('after', EXAMPLES);
  return command.action(async (id: string | undefined, options: DetachOptions) => {
    const target = readTarget(options);
    const given = [id, options.service, target ?? undefined].filter((one) => one !== undefined);
    if (given.length !== 1)
      throw new Failure(
        given.length === 0 ? 'usage' : 'contradiction',
        given.length === 0 ? 'nothing was named to detach' : 'an attach is named in one way',
        'give its id, or --service, or where it is: --cgroup, --pid, --unit, --container',
      );
    const daemon = options.service === undefined ? daemonSocket(options.socket ?? null) : null;
    const taken = daemon === null ? [] : await detachThroughDaemon({ id, target }, daemon);
    if (taken.length > 0) {
      printResult(taken.map((one) => `detached ${one.id} from ${one.cgroup}`).join('\n'));
      return;
    }
    const { detach } = await import('../guard/detach.ts');
    const ended = await detach({ id, service: options.service, target });
    printResult(
      ended
        .map(({ id: one, cgroup, attached }) => `detached ${nameOf(attached)}${one} from ${cgroup}`)
        .join('\n'),
    );
  });
}

function nameOf(attached: { service: string | null; deployment: string | null } | undefined): string {
  const name = attached?.service ?? attached?.deployment;
  return name == null ? '' : `${name} `;
}
