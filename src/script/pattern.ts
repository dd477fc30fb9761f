import { constant, slice, spell, type Text } from './text.ts';

const LONGEST = 200;

/** `${NAME#pattern}` and its kind, where the pattern is letters, `*` and `?`; null where that cannot be told. */
export function removePattern(
  text: Text,
  operator: '#' | '##' | '%' | '%%',
  pattern: string | null,
): Text | null {
  if (pattern === null || constant(text) === null || /[[\]\\()]/.test(pattern)) return null;
  const whole = spell(text);
  if (whole.length > LONGEST || pattern.length > 40) return null;
  const front = operator.startsWith('#');
  const lengths = Array.from({ length: whole.length + 1 }, (_, i) => i);
  if (operator.length === 2) lengths.reverse();
  for (const length of lengths) {
    const part = front ? whole.slice(0, length) : whole.slice(whole.length - length);
    if (matches(pattern, part))
      return front ? slice(text, length, whole.length) : slice(text, 0, whole.length - length);
  }
  return text;
}

/** `${NAME/from/to}` and its kind, of plain letters; null where that cannot be told. */
export function replaceText(
  text: Text,
  operator: '/' | '//' | '/#' | '/%',
  from: string | null,
  to: string | null,
): Text | null {
  const whole = constant(text);
  const [first] = text;
  if (whole === null || !first || from === null || to === null || from === '' || /[*?[\]\\]/.test(from))
    return null;
  if (whole.length > LONGEST || to.length > LONGEST) return null;
  const replaced = {
    '/': () => whole.replace(from, () => to),
    '//': () => whole.replaceAll(from, () => to),
    '/#': () => (whole.startsWith(from) ? to + whole.slice(from.length) : whole),
    '/%': () => (whole.endsWith(from) ? whole.slice(0, -from.length) + to : whole),
  }[operator]();
  return [{ text: replaced, place: first.place }];
}

/** A shell pattern of letters, `*` and `?` against a whole text, without backtracking over more than one `*`. */
function matches(pattern: string, text: string): boolean {
  let [p, t, star, mark] = [0, 0, -1, 0];
  while (t < text.length) {
    if (pattern[p] === '*') [star, mark] = [p++, t];
    else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) [p, t] = [p + 1, t + 1];
    else if (star >= 0) [p, t] = [star + 1, ++mark];
    else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}
