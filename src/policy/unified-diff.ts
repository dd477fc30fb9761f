const CONTEXT = 3;
/** Products of line counts that are compared in full; past that, a changed part is taken out and put in whole. */
const MOST_COMPARED = 4_000_000;

/** The lines of a unified diff, as `diff -u` writes and patch(1) reads it; empty if the texts are the same. */
export function unifiedDiff(name: string, before: string, after: string): string {
  if (before === after) return '';
  const steps = stepsOf(splitLines(before), splitLines(after));
  const hunks = hunksOf(steps).map(formatHunk);
  return [`--- ${name}\n+++ ${name}\n`, ...hunks].join('');
}

/** A line of both texts, or of one. `old` and `new` count the lines before it. */
interface Step {
  readonly sign: ' ' | '-' | '+';
  readonly line: string;
  readonly old: number;
  readonly new: number;
}

/** Lines with their line ends. */
function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function stepsOf(before: readonly string[], after: readonly string[]): Step[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let [oldEnd, newEnd] = [before.length, after.length];
  while (oldEnd > head && newEnd > head && before[oldEnd - 1] === after[newEnd - 1]) {
    oldEnd--;
    newEnd--;
  }
  const signs = [
    ...' '.repeat(head),
    ...middle(before.slice(head, oldEnd), after.slice(head, newEnd)),
    ...' '.repeat(before.length - oldEnd),
  ] as Step['sign'][];
  let [old, now] = [0, 0];
  return signs.map((sign) => {
    const step = { sign, line: (sign === '+' ? after[now] : before[old]) ?? '', old, new: now };
    if (sign !== '+') old++;
    if (sign !== '-') now++;
    return step;
  });
}

/** The signs of the shortest way from one list of lines to the other. */
function middle(before: readonly string[], after: readonly string[]): Step['sign'][] {
  const [rows, columns] = [before.length, after.length];
  if (rows * columns > MOST_COMPARED) return [...'-'.repeat(rows), ...'+'.repeat(columns)] as Step['sign'][];
  /** Length of the longest common part of what follows in both. */
  const common = Array.from({ length: rows + 1 }, () => new Uint32Array(columns + 1));
  const at = (row: number, column: number) => common[row]?.[column] ?? 0;
  for (let row = rows - 1; row >= 0; row--)
    for (let column = columns - 1; column >= 0; column--)
      (common[row] as Uint32Array)[column] =
        before[row] === after[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1));
  const signs: Step['sign'][] = [];
  let [row, column] = [0, 0];
  while (row < rows || column < columns) {
    if (row < rows && column < columns && before[row] === after[column]) {
      signs.push(' ');
      row++;
      column++;
    } else if (row < rows && (column === columns || at(row + 1, column) >= at(row, column + 1))) {
      signs.push('-');
      row++;
    } else {
      signs.push('+');
      column++;
    }
  }
  return signs;
}

function hunksOf(steps: readonly Step[]): Step[][] {
  const hunks: Step[][] = [];
  let end = -1;
  for (const [i, { sign }] of steps.entries()) {
    if (sign === ' ') continue;
    const start = Math.max(0, i - CONTEXT, end);
    const upTo = Math.min(steps.length, i + CONTEXT + 1);
    const hunk = hunks.at(-1);
    // A change within reach of the last one's context goes on with its hunk.
    if (hunk && i - CONTEXT <= end) hunk.push(...steps.slice(Math.max(end, 0), upTo));
    else hunks.push(steps.slice(start, upTo));
    end = upTo;
  }
  return hunks;
}

function formatHunk(steps: readonly Step[]): string {
  const [first] = steps;
  const range = (start: number, count: number) =>
    `${count === 0 ? start : start + 1}${count === 1 ? '' : `,${count}`}`;
  const old = range(first?.old ?? 0, steps.filter(({ sign }) => sign !== '+').length);
  const now = range(first?.new ?? 0, steps.filter(({ sign }) => sign !== '-').length);
  const lines = steps.map(({ sign, line }) =>
    line.endsWith('\n') ? `${sign}${line}` : `${sign}${line}\n\\ No newline at end of file\n`,
  );
  return `@@ -${old} +${now} @@\n${lines.join('')}`;
}
