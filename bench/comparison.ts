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

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** A B A B …, and the median of the pairs' values, as a row of the table. */
export async function compare(comparison: Comparison): Promise<string> {
  const pairs: { bare: number; guarded: number; value: number }[] = [];
  for (let round = 0; round <= comparison.rounds; round++) {
    const bare = await comparison.bare();
    const guardedFigure = await comparison.guarded();
    // The first pair warms caches up.
    if (round > 0) pairs.push({ bare, guarded: guardedFigure, value: comparison.value(bare, guardedFigure) });
  }
  const column = (key: 'bare' | 'guarded' | 'value') => median(pairs.map((pair) => pair[key]));
  const { what, unit, target } = comparison;
  return `| ${what} | ${column('bare').toFixed(1)} ${unit} | ${column('guarded').toFixed(1)} ${unit} | ${column('value').toFixed(2)} | ${target} |`;
}
