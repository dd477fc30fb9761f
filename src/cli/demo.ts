import { existsSync } from 'node:fs';
import path from 'node:path';
import { Command, Option } from 'commander';
import { Failure } from './output.ts';

const EXIT = { held: 0, leaked: 1, unguarded: 2 } as const;
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/**
 * `acyclic demo`. Exit status: 0 every loop was stopped, 1 one was not, 2 the demo could not be given,
 * 128+n ended by signal n. With the hidden `--world` it is the demo's own servers, in the sandbox.
 */
export function demoCommand(): Command {
  return new Command('demo')
    .description('the whole story in a sandbox, no policy needed')
    .addOption(new Option('--world').hideHelp())
    .action(async (options: { world?: boolean }) => {
      if (options.world) await world();
      else process.exitCode = await demo();
    });
}

async function world(): Promise<void> {
  const [{ serveWorld }, { demoServices }] = await Promise.all([
    import('../demo/world.ts'),
    import('../demo/services.ts'),
  ]);
  await serveWorld(process.stdin, process.stdout, demoServices);
}

async function demo(): Promise<number> {
  const { tellDemo } = await import('../demo/tell.ts');
  const interruption = new AbortController();
  const interrupt = (signal: NodeJS.Signals) => interruption.abort(signal);
  // A reader that has seen enough (`| head`) must not keep us from clearing the sandbox away.
  const hangUp = () => interruption.abort('SIGHUP');
  for (const signal of Object.keys(SIGNALS)) process.on(signal, interrupt);
  process.stdout.on('error', hangUp);
  try {
    const program = [process.execPath, ...process.execArgv, process.argv[1] ?? ''];
    const end = await tellDemo({
      program,
      world: [...program, 'demo', '--world'],
      examples: findExamples(),
      out: process.stdout,
      signal: interruption.signal,
    });
    return EXIT[end];
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    return 128 + SIGNALS[interruption.signal.reason as keyof typeof SIGNALS];
  } finally {
    for (const signal of Object.keys(SIGNALS)) process.off(signal, interrupt);
  }
}

/** The examples lie beside `src` in the source tree, and beside the program where it is installed. */
function findExamples(): string {
  const start = import.meta.dirname;
  for (let dir = start; ; dir = path.dirname(dir)) {
    const examples = path.join(dir, 'examples');
    if (existsSync(path.join(examples, 'demo'))) return examples;
    if (dir === path.dirname(dir)) {
      throw new Failure(
        'internal',
        `the folder 'examples' is missing beside ${start}`,
        'install Acyclic again',
      );
    }
  }
}
