/**
 * A secret as an administrator describes it: literal text, and one `*` where the secret stands. What `*` holds is
 * the longest run without blanks, quotes, `&`, `;` or `,`. Not a regular expression, so that none can be slow.
 */
export interface MaskPattern {
  readonly before: string;
  readonly after: string;
  /** `--db-secret *`: an option, and the secret is the next argument. */
  readonly option: string | null;
}

/** Fewest characters before the `*`, so that no pattern masks everything. */
const LEAST_BEFORE = 3;
const MOST_CHARACTERS = 200;
export const MOST_MASK_PATTERNS = 32;

/** The pattern, or what is wrong with it in one clause. */
export function parseMaskPattern(text: string): MaskPattern | string {
  const [before = '', after, ...more] = text.split('*');
  if (after === undefined || more.length > 0)
    return `\`${text}\` needs one \`*\`, which stands for the secret`;
  if (text.length > MOST_CHARACTERS) return `a pattern has at most ${MOST_CHARACTERS} characters`;
  if (before.trim().length < LEAST_BEFORE)
    return `\`${text}\` needs at least ${LEAST_BEFORE} characters before its \`*\``;
  const option = /^(\S+) $/.exec(before)?.[1] ?? null;
  return { before, after, option: after === '' ? option : null };
}
