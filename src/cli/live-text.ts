import type { Entry, Who } from '../daemon/answers.ts';
import type { Printer } from './print.ts';
import { Table } from './table.ts';

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** The two largest units of a time: `1h 59m`, `3d`, `12s`. */
export function formatSpan(ms: number): string {
  const first = UNITS.findIndex(([, unit]) => ms >= unit);
  if (first < 0) return '0s';
  let left = ms;
  const parts = UNITS.slice(first, first + 2).flatMap(([name, unit]) => {
    const count = Math.floor(left / unit);
    left -= count * unit;
    return count > 0 ? [`${count}${name}`] : [];
  });
  return parts.join(' ');
}

/** `root (acyclic)`, `uid 1000`. */
export function formatAsker({ uid, comm }: Pick<Who, 'uid' | 'comm'>): string {
  const name = uid === 0 ? 'root' : `uid ${uid}`;
  return comm === null ? name : `${name} (${comm})`;
}

/** `2026-11-23 05:20 UTC`. */
export function formatMinute(time: string): string {
  return `${time.slice(0, 16).replace('T', ' ')} UTC`;
}

/** Entries as a table, what lapses first on top. */
export function formatEntries(entries: readonly Entry[], now: Date, printer: Printer): string[] {
  const table = new Table(
    [
      { title: 'LEFT' },
      { title: 'DESTINATION', least: 12 },
      { title: 'DEPLOYMENT', least: 8 },
      { title: 'BY', least: 6 },
      { title: 'REASON', least: 10 },
      { title: 'ID' },
    ],
    printer,
  );
  const sorted = entries.toSorted((a, b) => Date.parse(a.until) - Date.parse(b.until));
  return table.lines(
    sorted.map(({ until, destination, deployment, who, reason, id }) => ({
      cells: [
        formatSpan(Date.parse(until) - now.getTime()),
        ...[destination, deployment ?? 'every', formatAsker(who), reason, id],
      ],
    })),
  );
}
