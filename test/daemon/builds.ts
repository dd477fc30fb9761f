import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What a build is made of; what is slow to make and never changed here comes with it. */
const PARTS = [
  'bin',
  'bpf',
  'src',
  'build.ts',
  'package.json',
  'build/acyclic.node',
  'build/acyclic-process.node',
];

/** Another build of Acyclic, in a directory of its own. */
export interface Build {
  /** Its `acyclic`. */
  readonly acyclic: string;
  remove(): void;
}

/** A change of source, by file: each text that is replaced is in it. */
export type Changes = Readonly<Record<string, readonly (readonly [text: string | RegExp, by: string])[]>>;

/** Builds what is here, with changes: what an upgrade comes to. Takes about two seconds. */
export function build(changes: Changes): Build {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-build-'));
  for (const part of PARTS) {
    mkdirSync(dirname(join(directory, part)), { recursive: true });
    cpSync(join(ROOT, part), join(directory, part), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  for (const [file, replacements] of Object.entries(changes)) {
    const path = join(directory, file);
    let source = readFileSync(path, 'utf8');
    for (const [text, by] of replacements) {
      const changed = source.replace(text, by);
      if (changed === source) throw new Error(`${file} has no ${text}`);
      source = changed;
    }
    writeFileSync(path, source);
  }
  execFileSync('sh', ['bpf/build.sh'], { cwd: directory });
  execFileSync(process.execPath, ['build.ts'], { cwd: directory });
  return {
    acyclic: join(directory, 'bin/acyclic'),
    remove: () => rmSync(directory, { recursive: true }),
  };
}
