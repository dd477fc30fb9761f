/** Bundles the program into build/cli: what ships, and what starts fastest. Run by `make build`. */
import { rmSync } from 'node:fs';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const outdir = 'build/cli';

/**
 * `import process from 'node:process'` makes Node open all three standard streams, and so set O_NONBLOCK on what
 * the guarded command shares with us. The global is the same object and opens none.
 */
const globalProcess: Plugin = {
  name: 'global-process',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?process$/ }, ({ kind }) =>
      kind === 'import-statement' ? { path: 'process', namespace: 'global' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'global' }, () => ({ contents: 'export default globalThis.process;' }));
  },
};

/** What both builds are. */
const common: BuildOptions = {
  outdir,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  legalComments: 'none',
  // Packages in CommonJS ask for `require`, which a module does not have.
  banner: {
    js: "import { createRequire as acyclicRequire } from 'node:module'; const require = acyclicRequire(import.meta.url);",
  },
  logLevel: 'warning',
  plugins: [globalProcess],
};

// What was compiled of an earlier build is of no use (src/cli/start.ts).
for (const stale of [outdir, 'build/cache']) rmSync(stale, { recursive: true, force: true });
await build({
  ...common,
  entryPoints: { acyclic: 'src/cli/start.ts' },
  // What a command loads only when it acts stays out of the file that every start reads. The parts lie beside
  // it, so that `../../build/…` means the same from each.
  splitting: true,
  chunkNames: 'acyclic-[hash]',
});
// The writer of the audit trail, a worker that src/audit/trail.ts starts with every run: one file loads fastest.
await build({ ...common, entryPoints: { 'acyclic-audit': 'src/audit/worker.ts' }, banner: {} });
