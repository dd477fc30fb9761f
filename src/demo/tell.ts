import { makeCertificate } from './certificate.ts';
import { NETWORK, PLACES, TLS_NAMES } from './places.ts';
import { startSandbox } from './sandbox.ts';
import type { ServicesPlan } from './services.ts';
import { OPENING, STORIES } from './stories.ts';
import { Teller } from './teller.ts';
import { type StoryEnd, Telling } from './telling.ts';

export interface DemoOptions {
  /** How to start this program: the guarded runs are `PROGRAM run …`. */
  readonly program: readonly string[];
  /** The command that serves the demo's world on its standard streams. */
  readonly world: readonly string[];
  /** The folder `examples`. */
  readonly examples: string;
  readonly out: NodeJS.WriteStream;
  /** Ends the demo; the sandbox is cleared away all the same. */
  readonly signal: AbortSignal;
}

/**
 * Tells the three stories in a sandbox of their own: each script on a good day, on the day mysql is down, and
 * guarded. Throws the signal's reason if interrupted, and a SandboxError if there can be no sandbox.
 */
export async function tellDemo(options: DemoOptions): Promise<StoryEnd> {
  const { signal } = options;
  const started = performance.now();
  const teller = new Teller(options.out);
  const sandbox = await startSandbox({
    name: 'acyclic-demo',
    network: NETWORK,
    world: options.world,
    client: () => ({ nameservers: PLACES.dns, hosts: [], env: {} }),
    plan: async (dir): Promise<ServicesPlan> => ({ certificate: await makeCertificate(dir, TLS_NAMES) }),
  });
  // Ends the script that runs, so that whoever waits for it goes on; a failure to stop shows below.
  const onAbort = () => void sandbox.stop().catch(() => undefined);
  signal.addEventListener('abort', onAbort);
  let end: StoryEnd = 'held';
  try {
    signal.throwIfAborted();
    teller.line('Acyclic: three ways to need what you are deploying', 'bold');
    teller.line('');
    teller.line(OPENING);
    for (const [index, story] of STORIES.entries()) {
      const stage = { sandbox, teller, program: options.program, examples: options.examples, signal };
      const told = await new Telling(story, stage).tell(index + 1);
      if (told !== 'held') end = told;
      if (told === 'unguarded') break;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await sandbox.stop();
  }
  close(teller, end, performance.now() - started);
  return end;
}

function close(teller: Teller, end: StoryEnd, ms: number): void {
  teller.line('');
  if (end === 'held') {
    teller.line('All three loops were found, and no guarded call reached github.com.', ['bold', 'green']);
    teller.line(`It took ${(ms / 1000).toFixed(1)} s, and the sandbox is gone. Now one of yours:`);
    teller.line('  sudo acyclic run -- ./deploy.sh');
  } else if (end === 'leaked') {
    teller.line('A guarded run did not end as it should: this is a fault in Acyclic.', ['bold', 'red']);
  } else {
    teller.line('Acyclic cannot guard a run on this machine; `acyclic doctor` says what is missing.', 'bold');
  }
}
