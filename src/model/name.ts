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

const ATTRIBUTE = /^(?:_[a-z0-9-]{1,15}\.){1,2}([^_].*)$/;

/**
 * The name that a service's attribute belongs to (RFC 2782, RFC 8552): `db.internal` for `_mysql._tcp.db.internal`.
 * Null for every other name. One or two labels in front, each a `_` and at most 15 characters.
 */
export function attributeOwner(name: Name): Name | null {
  return ATTRIBUTE.exec(name)?.[1] ?? null;
}
