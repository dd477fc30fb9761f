import { scan, withoutComments } from './scan.ts';
import { known, Lines, type Text } from './text.ts';
import type { World } from './walker.ts';

/** A file beside a deploy that tells a tool what to fetch or run, and its text. */
export interface ToldText {
  readonly kind: 'makefile' | 'package' | 'list';
  /** As people name it. */
  readonly file: string;
  readonly text: string;
}

const MOST_ENTRIES = 500;

/** Reads what such a file names. `shell` is given what the tool would have a shell run. */
export function readTold({ kind, file, text }: ToldText, world: World, shell: (code: Text) => void): void {
  if (kind === 'list') scan(withoutComments(known(text, { file, line: 1 }), '#;'), world.findings);
  else if (kind === 'makefile') readMakefile(file, text, world, shell);
  else readPackage(file, text, world, shell);
}

/** Recipes are shell code; the rest is text, in which variables of make stand for what is not known. */
function readMakefile(file: string, text: string, world: World, shell: (code: Text) => void): void {
  let line = 0;
  let recipe: { text: string; place: { file: string; line: number } }[] = [];
  const end = () => {
    if (recipe.length > 0) shell(recipe);
    recipe = [];
  };
  for (const raw of text.split('\n')) {
    line++;
    const place = { file, line };
    const continued = recipe.length > 0 && recipe.at(-1)?.text.endsWith('\\\n');
    if (!raw.startsWith('\t') && !continued) {
      end();
      scan(withoutComments(known(raw.replace(/\s#.*$/, ''), place)), world.findings);
      continue;
    }
    const code = raw
      .replace(/^\t?[@+-]*/, '')
      .replace(/\$(?:\(([\w.-]{1,60})\)|\$)/g, (_, name) => (name ? `\${${name}}` : '$'));
    recipe.push({ text: `${code}\n`, place });
    if (!code.endsWith('\\')) end();
  }
  end();
}

/** The scripts of a package, and where its dependencies come from; what else it says is for people. */
function readPackage(file: string, text: string, world: World, shell: (code: Text) => void): void {
  const lines = new Lines(text);
  const all = parseObject(text);
  const each = (value: unknown, act: (found: Text) => void) => {
    for (const [key, one] of Object.entries(asObject(value)).slice(0, MOST_ENTRIES)) {
      if (typeof one !== 'string') continue;
      const at = text.indexOf(JSON.stringify(one), Math.max(0, text.indexOf(JSON.stringify(key))));
      act(known(one, { file, line: lines.at(Math.max(0, at)) }));
    }
  };
  each(all.scripts, shell);
  for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies'])
    each(all[kind], (found) => scan(found, world.findings));
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return {};
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
