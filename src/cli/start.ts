import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// Where the bundle starts: what was compiled once is not compiled again. Where the cache cannot be written, it is.
enableCompileCache(fileURLToPath(new URL('../cache', import.meta.url)));
await import('./main.ts');
