import type { Argv } from './invocation.ts';

/** A file beside a deploy that tells a tool what to fetch or run. */
export interface ToldFile {
  /** From the working directory. */
  readonly path: string;
  readonly kind: 'makefile' | 'package' | 'list';
}

/** The files by which a deployment tells a tool what to fetch; some may not be there. */
export function toldFiles(program: string, args: Argv): ToldFile[] {
  if (/^g?make$/.test(program)) {
    const directory = optionValue(args, ['-C', '--directory']) ?? '.';
    const file = optionValue(args, ['-f', '--file', '--makefile']);
    const names = file === null ? ['GNUmakefile', 'makefile', 'Makefile'] : [file];
    return names.map((name) => ({ path: within(directory, name), kind: 'makefile' }));
  }
  if (/^(npm|npx|yarn|pnpm)$/.test(program)) {
    const directory = optionValue(args, ['--prefix', '-C', '--cwd', '--dir']) ?? '.';
    return [
      { path: within(directory, 'package.json'), kind: 'package' },
      { path: within(directory, '.npmrc'), kind: 'list' },
    ];
  }
  if (/^pip[\d.]*$/.test(program)) return listed(args, ['-r', '--requirement', '-c', '--constraint']);
  if (program === 'curl') return listed(args, ['-K', '--config']);
  return program === 'wget' ? listed(args, ['-i', '--input-file']) : [];
}

function listed(args: Argv, options: readonly string[]): ToldFile[] {
  return args.flatMap((_, i) => {
    const path = optionValue(args.slice(i, i + 2), options);
    return path === null ? [] : [{ path, kind: 'list' as const }];
  });
}

/** The value of the first of these options that is given, apart or glued to it. */
function optionValue(args: Argv, options: readonly string[]): string | null {
  for (const [i, arg] of args.entries()) {
    const option = arg === null ? undefined : options.find((one) => arg.startsWith(one));
    if (arg == null || option === undefined) continue;
    if (arg === option) return args[i + 1] ?? null;
    if (arg[option.length] === '=') return arg.slice(option.length + 1);
    if (!option.startsWith('--')) return arg.slice(option.length);
  }
  return null;
}

function within(directory: string, path: string): string {
  return path.startsWith('/') ? path : `${directory}/${path}`;
}
