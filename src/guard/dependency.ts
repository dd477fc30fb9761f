import type { Address } from '../model/address.ts';
import type { EventDependency } from '../model/event.ts';
import type { Name } from '../model/name.ts';
import { type ProcessImage, programName } from '../model/process.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { resolveCommand } from './command.ts';
import { type GivenCommand, Naming } from './naming.ts';
import { originsOf, type Step } from './origin.ts';
import type { Packages } from './packages.ts';
import type { ProcessTable } from './processes.ts';
import { ProgramSettings } from './program-settings.ts';

/** A call, as far as its dependency goes. */
export interface Subject {
  /** Null: no service is known by these names or this address. */
  readonly service: string | null;
  /** Services from the deployment back to itself, where the rule that decided is about a cycle. */
  readonly cycle: readonly string[] | null;
  readonly names: readonly Name[];
  readonly address: Address | null;
  readonly pid: number;
  readonly time: bigint;
}

const MOST_SHOWN = 6;
/** A path from the deployment to itself with a service between: `mysql → github → mysql`. */
const DIRECT_PATH = 3;
/** The command is not kept waiting longer for the names of packages. */
const PATIENCE_MS = 250;

/**
 * Tells the kinds of dependency apart (design §5), with evidence. Files are read and packages looked up before a
 * call has to be told, or not at all.
 */
export class Dependencies {
  #policy: CompiledPolicy;
  readonly #processes: ProcessTable;
  readonly #naming: Naming | null;
  readonly #packages: Packages;
  /** Programs of the command, whose packages are looked up before it begins. */
  readonly #first: string[] = [];
  readonly #settings: ProgramSettings;

  /** `command` is null where what runs is not known. */
  constructor(options: {
    policy: CompiledPolicy;
    processes: ProcessTable;
    packages: Packages;
    command: GivenCommand | null;
  }) {
    this.#policy = options.policy;
    this.#packages = options.packages;
    this.#processes = options.processes;
    this.#naming = options.command && new Naming(options.command);
    this.#settings = new ProgramSettings(options.command?.home ?? null);
    for (const program of this.#naming?.programs ?? []) {
      this.#settings.prepare(program);
      const path = found(program, options.command?.path ?? '');
      if (path === null) continue;
      this.#first.push(path);
      this.#packages.want(path);
    }
  }

  /** What was begun when the guard was put up is done. */
  async ready(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS);
    });
    await Promise.race([this.#packages.settled(this.#first), patience]);
    clearTimeout(timer);
  }

  /** Another policy is in force. */
  judgeBy(policy: CompiledPolicy): void {
    this.#policy = policy;
  }

  /** A process began to run another program. */
  executed(pid: number, time: bigint): void {
    const step = this.#steps(pid, time).at(-1);
    if (!step) return;
    this.#naming?.began(step);
    if (step.origin !== 'asked') return;
    this.#settings.prepare(programName(step.image));
    this.#packages.want(fileOf(step));
  }

  /** The dependency that a call is; null where it belongs to no service. */
  of(subject: Subject): EventDependency | null {
    const { service, cycle, names, address } = subject;
    if (service === null && cycle === null) return null;
    const path = cycle ?? this.#policy.paths.get(service ?? '') ?? [];
    if (path.length > DIRECT_PATH)
      return { kind: 'transient', evidence: path.slice(1).join(' → '), path: [...path] };
    const place = this.#naming?.inScripts(names, address);
    if (place) return { kind: 'direct', evidence: `${place.file}:${place.line}`, path: [...path] };
    const steps = this.#steps(subject.pid, subject.time);
    const named = steps.findLast(
      ({ origin, image: { argv } }) =>
        origin !== 'inner' && argv !== null && this.#naming?.onLine(argv, names, address),
    );
    if (named) {
      const evidence = `argv of ${programName(named.image)}[${named.image.pid}]`;
      return { kind: 'direct', evidence, path: [...path] };
    }
    // Without a command nothing was given that could name it, and neither of the two can be told.
    return {
      kind: this.#naming ? 'hidden' : null,
      evidence: this.#program(steps, names, address),
      path: [...path],
    };
  }

  #steps(pid: number, time: bigint): Step[] {
    return originsOf(this.#processes.lineage(pid, time), this.#naming?.isTool ?? (() => false));
  }

  /** The program that calls by itself, with its package and how it came to run: the last that the deployment asked for. */
  #program(steps: readonly Step[], names: readonly Name[], address: Address | null): string | null {
    const step = steps.findLast(({ origin }) => origin === 'asked') ?? steps.at(-1);
    if (!step) return null;
    const program = programName(step.image);
    const name = this.#packages.of(fileOf(step));
    const packaged = name === undefined ? '' : name === null ? ' (in no package)' : ` (package ${name})`;
    const setting = this.#settings.find(program, names, address);
    const told = setting ? `, told by ${setting.file}:${setting.line}` : '';
    return `${program}${packaged}${told}: ${ancestry(steps.map(({ image }) => image))}`;
  }
}

/** The file that a name runs; null: none. */
function found(program: string, path: string): string | null {
  try {
    return resolveCommand(program, path);
  } catch {
    return null;
  }
}

/** `deploy.sh → mysqlctl → curl`: every program on the way, also those that became the next; of several alike, one. */
function ancestry(images: readonly ProcessImage[]): string {
  // That `env` finds the interpreter of a script is nobody's doing.
  const shown = images.filter((image, i) => programName(image) !== 'env' || images[i + 1]?.pid !== image.pid);
  const names = shown.map(programName).filter((name, i, all) => name !== all[i - 1]);
  if (names.length > MOST_SHOWN) names.splice(2, names.length - MOST_SHOWN + 1, '…');
  return names.join(' → ');
}

/** The file of a program; for a script that is a program of this host, the script. */
function fileOf({ image, script }: Step): string {
  return script ?? image.exe ?? '';
}
