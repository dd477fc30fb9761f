/** Licences of what is packed with the program. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The parts read of a package.json. */
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly author?: string | { readonly name: string };
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** Names and licences in full of all packages the program is bundled with, and of Node at `node` below `root`. */
export function notices(root: string, node: string): string {
  const own = manifestOf(root);
  const found = new Map<string, string>();
  const walk = ({ dependencies = {} }: Manifest) => {
    for (const name of Object.keys(dependencies)) {
      if (found.has(name)) continue;
      const directory = join(root, 'node_modules', name);
      const manifest = manifestOf(directory);
      found.set(name, titled(`${name} ${manifest.version}`, licenceOf(directory, manifest)));
      walk(manifest);
    }
  };
  walk(own);
  const bundled = [...found.keys()].sort().map((name) => found.get(name) ?? '');
  const licence = readFileSync(join(root, node, 'LICENSE'), 'utf8');
  return [...bundled, titled(`Node.js ${manifestOf(join(root, node)).version}`, licence)].join('');
}

function titled(title: string, text: string): string {
  return `\n${title}\n${'='.repeat(title.length)}\n\n${text.trim()}\n`;
}

function manifestOf(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
}

function licenceOf(directory: string, { name, license, author }: Manifest): string {
  const file = readdirSync(directory).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
  if (file !== undefined) return readFileSync(join(directory, file), 'utf8');
  if (license === undefined) throw new Error(`${name} names no licence`);
  const holder = typeof author === 'string' ? author : (author?.name ?? `the authors of ${name}`);
  return `Copyright ${holder}. Licensed under: ${license}`;
}
