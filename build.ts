/** Bundles the program into build/cli: what ships, and what starts fastest. Run by `make build`. */
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
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

/** What all builds are. */
const common: BuildOptions = {
  outdir,
  bundle: true,
  platform: 'node',
  target: 'node24',
  alias: { yaml: './node_modules/yaml/browser/dist/index.js' },
  legalComments: 'none',
  logLevel: 'warning',
};

/** Modules, which load what a command needs only when it acts. */
const modules: BuildOptions = {
  ...common,
  format: 'esm',
  outExtension: { '.js': '.mjs' },
  plugins: [globalProcess],
};

/** Packages in CommonJS ask for `require`, which a module does not have. */
const requiring: BuildOptions = {
  banner: {
    js: "import { createRequire as acyclicRequire } from 'node:module'; const require = acyclicRequire(import.meta.url);",
  },
};

/** The parts that the files of `scripts` load when they need them, and where each is found. */
const parts = new Map<string, string>();

/**
 * What is loaded later lies in a file of its own, but for what every run through the daemon needs: a file more is a
 * millisecond more.
 */
const laterParts: Plugin = {
  name: 'later-parts',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\/.*\.ts$/ }, ({ kind, path, resolveDir }) => {
      if (kind !== 'dynamic-import' || path === './daemon-run.ts') return undefined;
      if (path === './run-main.ts') return { path: './acyclic-run.cjs', external: true };
      const name = `acyclic-${basename(path, '.ts')}`;
      parts.set(name, join(resolveDir, path));
      return { path: `./${name}.mjs`, external: true };
    });
  },
};

/**
 * Scripts, one file each, for what every start waits for: Node starts with them 3 ms sooner than with modules, which
 * `require` loads as well.
 */
const scripts: BuildOptions = {
  ...common,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': 'acyclicUrl' },
  banner: { js: "const acyclicUrl = require('node:url').pathToFileURL(__filename).href;" },
  plugins: [globalProcess, laterParts],
};

// What was compiled of an earlier build is of no use (src/cli/start.ts).
for (const stale of [outdir, 'build/cache']) rmSync(stale, { recursive: true, force: true });
await build({ ...scripts, entryPoints: { acyclic: 'src/cli/start.ts' } });
await build({ ...scripts, entryPoints: { 'acyclic-run': 'src/cli/run-main.ts' } });
await build({
  ...modules,
  entryPoints: Object.fromEntries(parts),
  // What a command loads only when it acts stays out of the file that every start reads. The parts lie beside
  // it, so that `../../build/…` means the same from each.
  splitting: true,
  chunkNames: 'acyclic-[hash]',
  ...requiring,
});
// The writer of the audit trail, a worker that src/audit/trail.ts starts with every run: one file loads fastest.
await build({ ...modules, entryPoints: { 'acyclic-audit': 'src/audit/worker.ts' } });
// What loads large policies beside a daemon's work, a process that src/daemon/policy-loading.ts starts.
await build({ ...modules, ...requiring, entryPoints: { 'acyclic-policy': 'src/daemon/policy-loader.ts' } });
