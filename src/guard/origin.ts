import type { ProcessImage } from '../model/process.ts';
import { readInvocation } from '../script/invocation.ts';
import { baseOf } from '../script/path.ts';

/**
 * Whose a program is. `own`: it runs code of the deployment. `asked`: the deployment's code started it, with the
 * arguments it has. `inner`: another program started it, and chose its arguments.
 */
export type Origin = 'own' | 'asked' | 'inner';

/** A program on the way to a call. */
export interface Step {
  readonly image: ProcessImage;
  readonly origin: Origin;
  /** The file of the script it runs, as its command line has it; null for a program, and for code on the line itself. */
  readonly script: string | null;
}

/** Whose each program of a lineage is. `isTool` says whether a file is installed for all, by its path. */
export function originsOf(lineage: readonly ProcessImage[], isTool: (path: string) => boolean): Step[] {
  const steps: Step[] = [];
  // The command of the run, and what `sudo` and its like run when they are the command.
  let given = true;
  for (const image of lineage) {
    const argv = image.argv ?? [];
    const invocation = readInvocation([image.exe ?? argv[0] ?? '', ...argv.slice(1)]);
    const script = invocation?.source === 'file' ? (argv[invocation.index] ?? null) : null;
    const before = steps.at(-1);
    const started =
      !before || before.origin === 'own' || (before.origin === 'asked' && runs(before, image, script));
    const code = invocation !== null && invocation.source !== 'none';
    const own: boolean = code && (script === null || given || !isTool(script));
    const origin: Origin = !started ? 'inner' : own ? 'own' : 'asked';
    steps.push({ image, origin, script });
    given &&= origin === 'asked';
  }
  return steps;
}

/**
 * Whether a program's command line asks for this other one, as that of `sudo`, `timeout` and `xargs` does, or the
 * other was handed all its arguments, as by a wrapper.
 */
function runs({ image: { argv }, script }: Step, other: ProcessImage, file: string | null): boolean {
  const words = argv?.slice(1) ?? [];
  const names = [other.argv?.[0], file].flatMap((name) => (name == null ? [] : [name, baseOf(name)]));
  if (words.some((word) => names.includes(word) || names.includes(baseOf(word)))) return true;
  const given = words.slice(script === null ? 0 : words.indexOf(script) + 1);
  const tail = other.argv?.slice(1).slice(-given.length) ?? [];
  return given.length > 0 && given.length === tail.length && given.every((word, i) => word === tail[i]);
}
