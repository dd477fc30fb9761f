import { writeFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// Where the bundle starts: what was compiled once is not compiled again. Where the cache cannot be written, it is.
enableCompileCache(fileURLToPath(new URL('../cache', import.meta.url)));
// As ps, top and the audit trail name it: Node's name for its main thread says nothing.
try {
  writeFileSync('/proc/self/comm', 'acyclic');
} catch {
  // /proc is read-only: it goes by the other name.
}
// A deployment waits for every start of `run`, which is one file for itself.
if (process.argv[2] === 'run') void import('./run-main.ts');
else void import('./main.ts');
