import type { AuditEvent } from '../model/event.ts';
import { isProbe } from './question.ts';

/** Calls to one destination that have something in common, with one of them. */
export interface Counted {
  readonly example: AuditEvent;
  /** Repeats counted. */
  readonly count: number;
}

/**
 * The same list without lookups, and looks at the route, that were made for a call in it: they are counted with
 * that call. `way` is what they must have in common besides, so that nothing is hidden that differs.
 */
export function foldEchoes<T extends Counted>(entries: readonly T[], way: (entry: T) => string): T[] {
  const calls = new Map<string, T>();
  for (const entry of entries) {
    if (isEcho(entry)) continue;
    for (const key of keysOfCall(entry))
      calls.set(`${way(entry)} ${key}`, calls.get(`${way(entry)} ${key}`) ?? entry);
  }
  const counts = new Map<T, number>();
  const left = entries.filter((entry) => {
    const call = isEcho(entry) ? calls.get(`${way(entry)} ${keyOfEcho(entry)}`) : undefined;
    if (call) counts.set(call, (counts.get(call) ?? call.count) + entry.count);
    return !call;
  });
  return left.map((entry) => ({ ...entry, count: counts.get(entry) ?? entry.count }));
}

function isEcho({ example }: Counted): boolean {
  return example.kind === 'dns' || isProbe(example);
}

function keyOfEcho({ example }: Counted): string {
  const { names = [], address, port } = example.destination ?? {};
  return example.kind === 'dns' ? `lookup ${names[0]}` : `route ${names[0] ?? address} ${port}`;
}

function keysOfCall({ example }: Counted): string[] {
  const { names = [], address, port, protocol } = example.destination ?? {};
  const route = protocol === 'tcp' ? [`route ${names[0] ?? address} ${port}`] : [];
  return [...names.map((name) => `lookup ${name}`), ...route];
}
