/** A DNS name in policy form: lower case, A-labels, no trailing dot. */
export type Name = string;

const MAX_NAME = 253;
const NOT_ASCII = /[^\0-\x7f]/;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** The policy form of a name, or null when it is not a name policy can speak of (RFC 1035 §2.3.1, with `_`). */
export function normalizeName(text: string): Name | null {
  // Before any folding: the Kelvin sign is no k.
  if (NOT_ASCII.test(text)) return null;
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  if (name.length === 0 || name.length > MAX_NAME) return null;
  return name.split('.').every((label) => LABEL.test(label)) ? name : null;
}
