import type { Problem, ProblemCode } from './problem.ts';

/** Warnings from what lets a cycle be to what is only untidy; those not here come between. */
const WORST: readonly ProblemCode[] = [
  'service-cycle',
  'circular-resolver',
  'nameless-service',
  'walkable-service',
  'public-suffix',
  'lapsed-waiver',
  'closed-rule',
];
const LEAST: readonly ProblemCode[] = [
  'overlap',
  'lapsing-waiver',
  'idle-waiver',
  'nothing-deployed',
  'unused-service',
];

/** Errors first, then warnings by what they come to; otherwise in the order given, which is that of files and lines. */
export function worstFirst(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => rank(a) - rank(b));
}

function rank({ severity, code }: Problem): number {
  if (severity === 'error') return -1;
  const worst = WORST.indexOf(code);
  if (worst >= 0) return worst;
  return WORST.length + LEAST.indexOf(code) + 1;
}
