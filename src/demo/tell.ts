import { cp } from 'node:fs/promises';
import path from 'node:path';
import { styleText } from 'node:util';
import { NETWORK, PLACES, TLS_NAMES, ZONE } from './places.ts';
import { makeCertificate } from './certificate.ts';
import { type Sandbox, startSandbox } from './sandbox.ts';
import type { ServicesPlan } from './services.ts';
import { OPENING, STORIES, type Story } from './stories.ts';

export interface DemoOptions {
  /** How to start this program: the guarded half runs `PROGRAM run …`. */
  readonly program: readonly string[];
  /** The command that serves the demo's world on its standard streams. */
  readonly world: readonly string[];
  /** The folder `examples`. */
  readonly examples: string;
  readonly out: NodeJS.WriteStream;
  /** Stops the demo; everything is cleared away all the same. */
  readonly signal: AbortSignal;
}

/** `held`: every loop was stopped. `leaked`: a call got through. `unguarded`: `run` could not guard here. */
export type DemoEnd = 'held' | 'leaked' | 'unguarded';

type Style = Parameters<typeof styleText>[0];

const COULD_NOT_GUARD = 125;
const ACT_TIMEOUT_MS = 6000;

/** Tells the three stories, each on a good day, on the day mysql is down, and guarded. Throws if interrupted. */
export async function tellDemo(options: DemoOptions): Promise<DemoEnd> {
  const started = performance.now();
  const teller = new Teller(options.out);
  const sandbox = await startSandbox({
    name: 'acyclic-demo',
    network: NETWORK,
    world: options.world,
    client: { nameservers: PLACES.dns, hosts: [], env: {} },
    plan: async (dir): Promise<ServicesPlan> => makeCertificate(dir, TLS_NAMES),
  });
  const onAbort = () => void sandbox.stop().catch(() => undefined);
  options.signal.addEventListener('abort', onAbort);
  try {
    options.signal.throwIfAborted();
    await cp(path.join(options.examples, 'demo'), path.join(sandbox.dir, 'demo'), { recursive: true });
    teller.line('Acyclic: three ways to need what you are deploying', 'bold');
    teller.line('');
    teller.line(OPENING);
    const ends: DemoEnd[] = [];
    for (const [index, story] of STORIES.entries()) {
      ends.push(await new Telling(story, sandbox, options, teller).tell(index + 1));
      if (ends.includes('unguarded')) break;
    }
    await sandbox.stop();
    const end = ends.find((each) => each !== 'held') ?? 'held';
    teller.close(end, performance.now() - started);
    return end;
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    await sandbox.stop();
  }
}

class Teller {
  readonly #out: NodeJS.WriteStream;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  line(text: string, style?: Style): void {
    this.#out.write(`${style ? this.styled(text, style) : text}\n`);
  }

  /** Plain where the output is no terminal, or NO_COLOR is set. */
  styled(text: string, style: Style): string {
    return styleText(style, text, { stream: this.#out });
  }

  close(end: DemoEnd, ms: number): void {
    const seconds = `${(ms / 1000).toFixed(1)} s`;
    this.line('');
    if (end === 'held') {
      this.line(`All three loops were found, and no guarded call reached github.com.`, ['bold', 'green']);
      this.line(`${seconds}; the sandbox is gone. Try it on a script of yours: acyclic run -- ./deploy.sh`);
    } else if (end === 'leaked') {
      this.line('A guarded run did not stop what it should have: this is a fault in Acyclic.', ['bold', 'red']);
    } else {
      this.line('Acyclic cannot guard a run on this machine; `acyclic doctor` says what is missing.', 'bold');
    }
  }
}

/** The three acts of one story. */
class Telling {
  readonly #story: Story;
  readonly #sandbox: Sandbox;
  readonly #options: DemoOptions;
  readonly #teller: Teller;

  constructor(story: Story, sandbox: Sandbox, options: DemoOptions, teller: Teller) {
    this.#story = story;
    this.#sandbox = sandbox;
    this.#options = options;
    this.#teller = teller;
  }

  async tell(number: number): Promise<DemoEnd> {
    const { kind, title, words, goodDay, badDay, guarded, survives } = this.#story;
    const teller = this.#teller;
    const script = ['./deploy.sh'];
    teller.line('');
    teller.line(`${number}. ${teller.styled(kind, ['bold', 'cyan'])}: ${teller.styled(title, 'bold')}`);
    teller.line(`   ${words}`);

    const good = await this.#act('on a good day', script, script);
    this.#verdict(good.code === 0, `${outcome(good)}: ${goodDay}`, 'yellow');

    await this.#sandbox.world.toggle('mysql', false);
    const bad = await this.#act('on the day mysql is down', script, script);
    this.#verdict(bad.code !== 0, `exit ${bad.code}, and mysql stays down: ${badDay}`, 'red');
    await this.#sandbox.world.toggle('mysql', true);

    const policy = path.join(this.#options.examples, 'policy.yaml');
    const run = (program: readonly string[], file: string) =>
      [...program, 'run', '-p', file, '-d', 'mysql', '--', ...script] as const;
    const held = await this.#act('guarded', run(['acyclic'], 'policy.yaml'), run(this.#options.program, policy));
    if (held.code === COULD_NOT_GUARD) return 'unguarded';
    const stopped = held.calls === 0 && held.output.includes('acyclic: denied') && (held.code === 0) === survives;
    this.#verdict(stopped, `${outcome(held)}: ${guarded}`, 'green');
    return stopped ? 'held' : 'leaked';
  }

  async #act(label: string, shown: readonly string[], argv: readonly string[]): Promise<Act> {
    const { client, world, dir } = this.#sandbox;
    this.#options.signal.throwIfAborted();
    this.#teller.line('');
    this.#teller.line(`   ${this.#teller.styled(label, 'bold')}  $ ${shown.join(' ')}`);
    const before = (await world.records()).length;
    const lines = new Lines((line) => this.#teller.line(`     ${this.#coloured(line)}`));
    const result = await client.run(argv, {
      cwd: path.join(dir, 'demo', this.#story.kind),
      env: { PATH: `${path.join(dir, 'demo', 'bin')}:${client.env['PATH']}`, ...this.#trust(), TMPDIR: client.home },
      merge: true,
      timeoutMs: ACT_TIMEOUT_MS,
      onOutput: (text) => lines.push(text),
    });
    lines.end();
    this.#options.signal.throwIfAborted();
    const seen = (await world.records()).slice(before);
    const github = this.#story.github;
    const calls = seen.filter(({ kind, address }) => kind === 'connection' && github.includes(address));
    return { code: result.code, output: result.stdout, calls: calls.length };
  }

  #trust(): Record<string, string> {
    return { CURL_CA_BUNDLE: path.join(this.#sandbox.dir, 'ca.pem') };
  }

  #coloured(line: string): string {
    if (line.startsWith('acyclic: denied')) return this.#teller.styled(line, ['bold', 'red']);
    return line.startsWith('acyclic:') ? this.#teller.styled(line, 'cyan') : line;
  }

  #verdict(asTold: boolean, text: string, style: Style): void {
    this.#teller.line(`   ${this.#teller.styled(`→ ${text}`, asTold ? style : 'magenta')}`);
    if (!asTold) this.#teller.line('     (this is not how the story goes: something is wrong)', 'magenta');
  }
}

interface Act {
  readonly code: number | null;
  /** Standard output and error, in order. */
  readonly output: string;
  /** Connections github.com accepted. */
  readonly calls: number;
}

function outcome({ code, calls }: Act): string {
  const times = calls === 0 ? 'never called' : calls === 1 ? 'called once' : `called ${calls} times`;
  return `exit ${code}, github.com was ${times}`;
}

/** Cuts pieces of text into lines. */
class Lines {
  readonly #take: (line: string) => void;
  #rest = '';

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#take(line);
  }

  end(): void {
    if (this.#rest !== '') this.#take(this.#rest);
    this.#rest = '';
  }
}
