import type { HostPattern } from './pattern.ts';

/**
 * Top-level names that belong to whoever runs the network: reserved (RFC 6761, RFC 6762, ICANN for `internal`), or
 * used so (RFC 6762 appendix G). Every other name of one label is taken for a top-level domain: the list of those
 * changes, and a wrong guess is a warning about a pattern that is as wide as one.
 */
const PRIVATE = new Set([
  ...['internal', 'local', 'localhost', 'test', 'example', 'invalid', 'onion', 'alt', 'arpa'],
  ...['intranet', 'private', 'corp', 'home', 'lan', 'localdomain'],
]);

/** What registries of countries put below their domain for everybody: `co.uk`, `com.au`, `or.jp`. */
const SECOND_LEVEL = new Set([
  ...[
    'ac',
    'co',
    'com',
    'ed',
    'edu',
    'gen',
    'go',
    'gob',
    'gouv',
    'gov',
    'govt',
    'id',
    'ind',
    'info',
    'ltd',
    'me',
  ],
  ...['mil', 'ne', 'net', 'nhs', 'nom', 'or', 'org', 'plc', 'sch', 'web'],
]);

/**
 * Whether a pattern holds names that anybody may register: `*.com`, `*.co.uk`, `*`. The rule needs no list of
 * registries: one label that is not for private use, or a usual word before a country's two letters.
 */
export function isPublic({ kind, name }: HostPattern): boolean {
  if (kind === 'any') return true;
  const labels = name.split('.');
  const [first = '', second = ''] = labels;
  if (labels.length === 1) return kind === 'below' && !PRIVATE.has(first);
  return labels.length === 2 && SECOND_LEVEL.has(first) && /^[a-z]{2}$/.test(second);
}
