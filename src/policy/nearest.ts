const LONGEST_COMPARED = 64;

/** The candidate a misspelt word most likely meant, or null when none is near. Case counts for nothing. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  if (word.length > LONGEST_COMPARED) return null;
  const wanted = word.toLowerCase();
  let best: string | null = null;
  let bound = Math.max(1, Math.min(3, Math.floor(wanted.length / 3))) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) >= bound) continue;
    const found = distance(wanted, candidate.toLowerCase());
    if (found < bound) [best, bound] = [candidate, found];
  }
  return best;
}

/** Levenshtein's edit distance. */
function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    above = row;
  }
  return above[b.length] ?? 0;
}
