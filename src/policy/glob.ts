/** Whether a text is one of a pattern's: `*` is any number of characters, also none; everything else is itself. */
export function globHolds(glob: string, text: string): boolean {
  let [at, from, star, resume] = [0, 0, -1, 0];
  while (from < text.length) {
    if (glob[at] === '*') [star, resume, at] = [at, from, at + 1];
    else if (glob[at] === text[from]) [at, from] = [at + 1, from + 1];
    else if (star >= 0) [at, from, resume] = [star + 1, resume + 1, resume + 1];
    else return false;
  }
  while (glob[at] === '*') at++;
  return at === glob.length;
}

/** Whether there is a text that is of both patterns. */
export function globsMeet(one: string, other: string): boolean {
  // Row by row: which beginnings of `other` can be the same text as the beginning of `one` so far.
  let row = [true];
  for (const [i, theirs] of [...other].entries()) row.push(theirs === '*' && row[i] === true);
  for (const mine of one) {
    const next = [mine === '*' && row[0] === true];
    for (const [i, theirs] of [...other].entries()) {
      const star = mine === '*' || theirs === '*';
      const can = star ? row[i + 1] === true || next[i] === true : mine === theirs && row[i] === true;
      next.push(can);
    }
    row = next;
  }
  return row.at(-1) === true;
}
