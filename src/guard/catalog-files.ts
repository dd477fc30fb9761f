import { MAX_POLICY_BYTES } from '../policy/policy-bytes.ts';
import type { PolicySource } from '../policy/read-file.ts';
import { readBounded, readingFault } from './bounded-file.ts';

/** A catalog that cannot be read. */
class CatalogFailure extends Error {
  override readonly name = 'CatalogFailure';
  readonly code = 'catalog';
  readonly remedy = 'give a catalog file of Backstage';
}

/** A catalog file as text. Throws CatalogFailure. */
export function readCatalog(path: string): PolicySource {
  try {
    return { path, text: readBounded(path, MAX_POLICY_BYTES) };
  } catch (error) {
    const why = readingFault(error as NodeJS.ErrnoException);
    throw new CatalogFailure(`cannot read the catalog ${path}: ${why}`, { cause: error });
  }
}
