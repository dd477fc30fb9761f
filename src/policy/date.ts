import { type Fault, fault } from './problem.ts';

/** A day as written and the instant it ends: midnight UTC after it, in milliseconds since the epoch. */
export interface LastDay {
  readonly text: string;
  readonly end: number;
}

/** Reads `2027-03-31`; a day that no calendar has is a fault. */
export function readDate(text: string): LastDay | Fault {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text) ?? [];
  if (!year || !month || !day) {
    return fault('bad-date', `\`${text}\` is not a date: write \`2027-03-31\``, reordered(text));
  }
  const start = Date.UTC(Number(year), Number(month) - 1, Number(day));
  if (new Date(start).toISOString().slice(0, 10) !== text) {
    return fault('bad-date', `\`${text}\` is not a day of any calendar`);
  }
  return { text, end: Date.UTC(Number(year), Number(month) - 1, Number(day) + 1) };
}

/** Only what has one meaning: a month and a day that are one digit short, or a time after the date. */
function reordered(text: string): string | null {
  const [, year, month, day] = /^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?$/.exec(text) ?? [];
  if (!year || !month || !day) return null;
  const date = `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
  return isFaultless(date) ? date : null;
}

function isFaultless(date: string): boolean {
  return !('message' in readDate(date));
}
