import { cp } from 'node:fs/promises';
import path from 'node:path';
import type { Sandbox } from './sandbox.ts';
import type { Story } from './stories.ts';
import type { Style, Teller } from './teller.ts';

/** What the stories are told with. */
export interface Stage {
  readonly sandbox: Sandbox;
  readonly teller: Teller;
  /** How to start this program. */
  readonly program: readonly string[];
  /** The folder `examples`. */
  readonly examples: string;
  readonly signal: AbortSignal;
}

/** `held`: the loop was stopped. `leaked`: the call got through. `unguarded`: `run` could not guard here. */
export type StoryEnd = 'held' | 'leaked' | 'unguarded';

/** How one run of the script went. */
interface Act {
  readonly code: number | null;
  /** Standard output and error, in order. */
  readonly output: string;
  /** Connections github.com accepted. */
  readonly calls: number;
}

const COULD_NOT_GUARD = 125;
const ACT_TIMEOUT_MS = 5000;
const SCRIPT = './deploy.sh';

/** Runs one story's script three times, and says what happened each time. */
export class Telling {
  readonly #story: Story;
  readonly #stage: Stage;
  readonly #dir: string;

  constructor(story: Story, stage: Stage) {
    this.#story = story;
    this.#stage = stage;
    this.#dir = path.join(stage.sandbox.dir, story.kind);
  }

  async tell(number: number): Promise<StoryEnd> {
    const { kind, title, words, goodDay, badDay, guarded, survives } = this.#story;
    const { teller, sandbox, program, examples } = this.#stage;
    await cp(path.join(examples, 'demo', kind), this.#dir, { recursive: true });
    await cp(path.join(examples, 'policy.yaml'), path.join(this.#dir, 'policy.yaml'));

    teller.line('');
    teller.line(`${number}. ${teller.styled(kind, ['bold', 'cyan'])}: ${teller.styled(title, 'bold')}`);
    teller.line(`   ${words}`);

    const good = await this.#act('unguarded, on a good day', [SCRIPT]);
    this.#sum(good, goodDay, good.code === 0 && good.calls > 0, 'yellow');

    await sandbox.world.toggle('mysql', false);
    const bad = await this.#act('unguarded, on the day mysql is down', [SCRIPT]);
    this.#sum(bad, badDay, bad.code !== 0, 'red');
    await sandbox.world.toggle('mysql', true);

    const run = ['run', '-p', 'policy.yaml', '-d', 'mysql', '--', SCRIPT];
    const held = await this.#act('guarded, on a good day', [...program, ...run], ['acyclic', ...run]);
    if (held.code === COULD_NOT_GUARD) return 'unguarded';
    const denied = held.calls === 0 && held.output.includes('acyclic: denied');
    const stopped = denied && (held.code === 0) === survives;
    this.#sum(held, guarded, stopped, 'green');
    return stopped ? 'held' : 'leaked';
  }

  async #act(label: string, argv: readonly string[], shown = argv): Promise<Act> {
    const { sandbox, teller, signal, examples } = this.#stage;
    const { client, world, dir } = sandbox;
    signal.throwIfAborted();
    teller.line('');
    teller.line(`   ${teller.styled(label, 'bold')}  $ ${shown.join(' ')}`);
    const before = (await world.records()).length;
    // The audit trail goes with the sandbox: whoever asked for an event of it would find nothing.
    const transcript = teller.transcript((line) => !line.startsWith('  more     acyclic audit show '));
    const result = await client.run(argv, {
      cwd: this.#dir,
      env: {
        PATH: `${path.join(examples, 'demo', 'bin')}:${client.env.PATH}`,
        CURL_CA_BUNDLE: path.join(dir, 'ca.pem'),
        TMPDIR: client.home,
        ACYCLIC_STATE: path.join(dir, 'state'),
      },
      merge: true,
      timeoutMs: ACT_TIMEOUT_MS,
      onOutput: (text) => transcript.push(text),
    });
    transcript.end();
    signal.throwIfAborted();
    const calls = (await world.records())
      .slice(before)
      .filter(({ kind, address }) => kind === 'connection' && this.#story.github.includes(address));
    return { code: result.code, output: result.stdout, calls: calls.length };
  }

  #sum({ code, calls }: Act, remark: string, asTold: boolean, style: Style): void {
    const { teller } = this.#stage;
    const times = calls === 0 ? 'not called' : calls === 1 ? 'called once' : `called ${calls} times`;
    const fact = `exit ${code ?? 'by a signal'}, github.com was ${times}`;
    if (asTold) teller.line(`   → ${fact}: ${remark}`, style);
    else teller.line(`   → ${fact}. That is not what should happen here.`, 'magenta');
  }
}
