import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Two figures taken in turns in the same run, so that a drifting machine shows in both. */
export interface Comparison {
  readonly what: string;
  readonly unit: string;
  readonly target: string;
  readonly rounds: number;
  readonly bare: () => Promise<number>;
  readonly guarded: () => Promise<number>;
  /** What the target speaks of. */
  readonly value: (bare: number, guarded: number) => number;
}

export const ratio = (bare: number, other: number) => other / bare;
export const difference = (bare: number, other: number) => other - bare;

const run = promisify(execFile);

/** What a command prints. */
export async function outputOf([file = '', ...args]: readonly string[]): Promise<string> {
  return (await run(file, args)).stdout;
}

/** The one number a command prints. */
export async function figure(argv: readonly string[]): Promise<number> {
  return Number(await outputOf(argv));
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** One turn of each, and what the target speaks of. */
export interface Pair {
  readonly bare: number;
  readonly guarded: number;
  readonly value: number;
}

/** A B A B …, by pairs. */
export async function takeTurns(comparison: Comparison): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let round = 0; round <= comparison.rounds; round++) {
    const bare = await comparison.bare();
    const guarded = await comparison.guarded();
    // The first pair warms caches up.
    if (round > 0) pairs.push({ bare, guarded, value: comparison.value(bare, guarded) });
  }
  return pairs;
}

/** The median of the pairs' values, and of each side, as a row of the table. */
export function medians(
  { what, unit, target }: Pick<Comparison, 'what' | 'unit' | 'target'>,
  pairs: readonly Pair[],
): string {
  const column = (key: keyof Pair) => median(pairs.map((pair) => pair[key]));
  return `| ${what} | ${column('bare').toFixed(1)} ${unit} | ${column('guarded').toFixed(1)} ${unit} | ${column('value').toFixed(2)} | ${target} |`;
}

/** A comparison as a row of the table. */
export async function compare(comparison: Comparison): Promise<string> {
  return medians(comparison, await takeTurns(comparison));
}
