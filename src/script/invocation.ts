import { baseOf } from './path.ts';

/** A command line; null is a word that only a run knows. */
export type Argv = readonly (string | null)[];

/** Languages whose scripts are read. */
export type Language = 'shell' | 'python' | 'node';

/** A command line that runs a script: which language, and where the script is. */
export interface Invocation {
  readonly language: Language;
  /** `file` and `inline`: the word at `index` names the file, or is the script itself. `input`: standard input. */
  readonly source: 'file' | 'inline' | 'input' | 'none';
  readonly index: number;
}

interface Options {
  /** Short options whose value is the rest of the word, or the next one. */
  readonly valued: string;
  /** Long options whose value is the next word. */
  readonly long?: readonly string[];
}

interface Wrapper extends Options {
  /** Words of its own before the command. */
  readonly own?: number;
  /** `NAME=value` words stand before the command. */
  readonly assigns?: true;
}

/** Programs that run the command on their own command line. */
const WRAPPERS: Readonly<Record<string, Wrapper>> = {
  builtin: { valued: '' },
  busybox: { valued: '' },
  chroot: { valued: '', own: 1 },
  chrt: { valued: 'DPT', own: 1 },
  command: { valued: '' },
  doas: { valued: 'Cu' },
  env: { valued: 'CSu', assigns: true, long: ['--unset', '--chdir'] },
  exec: { valued: 'a' },
  fakeroot: { valued: 'ils' },
  flock: { valued: 'Ew', own: 1 },
  gosu: { valued: '', own: 1 },
  ionice: { valued: 'cnptu' },
  nice: { valued: 'n' },
  nohup: { valued: '' },
  nsenter: { valued: 'GSTt', long: ['--target', '--setuid', '--setgid'] },
  proxychains: { valued: 'f' },
  proxychains4: { valued: 'f' },
  runuser: { valued: 'cgGsu' },
  setpriv: { valued: '' },
  setsid: { valued: '' },
  'start-stop-daemon': { valued: 'adgiknNopPrRsux' },
  stdbuf: { valued: 'eio' },
  strace: { valued: 'abeEIoOpPsSuX' },
  'su-exec': { valued: '', own: 1 },
  sudo: {
    valued: 'CDghpRrTtUu',
    assigns: true,
    long: ['--user', '--group', '--chdir', '--host', '--prompt'],
  },
  taskset: { valued: '', own: 1 },
  time: { valued: 'fo' },
  timeout: { valued: 'ks', own: 1, long: ['--signal', '--kill-after'] },
  torsocks: { valued: '' },
  tsocks: { valued: '' },
  unbuffer: { valued: '' },
  unshare: { valued: 'GRSw' },
  watch: { valued: 'n' },
  xargs: { valued: 'adEILnPs', long: ['--delimiter', '--max-args', '--max-procs', '--arg-file'] },
};

const SHELLS = /^(?:ba|da|k|z|a)?sh$/;
const PYTHON = /^python[\d.]*$/;
const NODE = /^(?:node|nodejs)$/;

const INTERPRETERS: Readonly<Record<Language, Options & { readonly inline: string }>> = {
  shell: { valued: 'oO', long: ['--rcfile', '--init-file'], inline: 'c' },
  python: { valued: 'QWX', inline: 'c' },
  node: { valued: 'Cr', long: ['--require', '--import', '--loader', '--conditions'], inline: 'ep' },
};

/** The language of scripts that a program of this name runs; null when it runs none that are read here. */
export function languageOf(program: string): Language | null {
  if (SHELLS.test(program)) return 'shell';
  if (PYTHON.test(program)) return 'python';
  return NODE.test(program) ? 'node' : null;
}

/** Where the command begins that a wrapper (`sudo`, `env`, `timeout 5`, …) runs; null: it is no wrapper, or runs none. */
export function wrappedAt(argv: Argv): number | null {
  const name = baseOf(argv[0] ?? '');
  if (name === 'find') return afterExec(argv);
  const wrapper = Object.hasOwn(WRAPPERS, name) ? WRAPPERS[name] : undefined;
  if (!wrapper) return null;
  let at = afterOptions(argv, wrapper);
  for (; wrapper.assigns && /^\w+=/.test(argv[at] ?? ''); at++);
  at += wrapper.own ?? 0;
  return at < argv.length ? at : null;
}

function afterExec(argv: Argv): number | null {
  const at = argv.findIndex((word) => word !== null && /^-(exec|execdir|ok|okdir)$/.test(word)) + 1;
  return at > 0 && at < argv.length ? at : null;
}

function afterOptions(argv: Argv, { valued, long = [] }: Options): number {
  let at = 1;
  for (; at < argv.length; at++) {
    const word = argv[at];
    if (word === '--') return at + 1;
    if (word == null || !/^-./.test(word)) return at;
    if (takesNext(word, valued, long)) at++;
  }
  return at;
}

/** Whether an option's value is the next word: `-n 5`, not `-n5`. */
export function takesNext(word: string, valued: string, long: readonly string[]): boolean {
  if (word.startsWith('--')) return long.includes(word);
  const first = [...word.slice(1)].findIndex((letter) => valued.includes(letter));
  return first >= 0 && first === word.length - 2;
}

/** How a command line runs a script; null when the program is no interpreter that is read here. */
export function readInvocation(argv: Argv): Invocation | null {
  const language = languageOf(baseOf(argv[0] ?? ''));
  if (!language) return null;
  const { valued, long = [], inline } = INTERPRETERS[language];
  for (let at = 1; at < argv.length; at++) {
    const word = argv[at];
    if (word === '--' || word == null || !/^[-+]./.test(word)) {
      const index = word === '--' ? at + 1 : at;
      if (index < argv.length) return { language, source: argv[index] === '-' ? 'input' : 'file', index };
      break;
    }
    if (word.startsWith('--')) {
      if (language === 'node' && /^--(eval|print)$/.test(word))
        return { language, source: 'inline', index: at + 1 };
      if (long.includes(word)) at++;
      continue;
    }
    const letters = word.slice(1);
    if (language === 'python' && letters.includes('m')) return { language, source: 'none', index: at };
    if (language === 'shell' && letters.includes('s')) return { language, source: 'input', index: at };
    // A shell's other options may still come: `bash -c -e 'text'`.
    if ([...inline].some((letter) => letters.includes(letter))) {
      let text = at + 1;
      for (; language === 'shell' && /^[-+]./.test(argv[text] ?? ''); text++);
      return { language, source: 'inline', index: text };
    }
    if (takesNext(word, valued, long)) at++;
  }
  return { language, source: 'input', index: argv.length };
}
