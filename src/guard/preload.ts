import { existsSync } from 'node:fs';
import { preflight } from '../kernel/preflight.ts';
import { loadPrograms, type Programs } from '../kernel/programs.ts';
import { hasUnixConnect } from '../kernel/unix-connect.ts';
import type { Mode } from '../model/verdict.ts';
import { INSTALLED } from './installed.ts';

/** What is known of a run before its policy is read. */
export interface ExpectedRun {
  /** Null: the policy's. */
  readonly mode: Mode | null;
  readonly policy: string | null;
  readonly syscalls: boolean;
}

/**
 * Begins to load the programs, on another thread, while the policy is read: the verifier takes as long as all the rest.
 * Where the policy may say either mode, what both need is loaded. Null: this host cannot, which whoever needs them finds
 * out again, and says.
 */
export function preloadPrograms({ mode, policy, syscalls }: ExpectedRun): Promise<Programs> | null {
  const none = policy === null && !existsSync(INSTALLED);
  const modes: readonly Mode[] = mode ? [mode] : none ? ['audit'] : ['enforce', 'audit'];
  let closes: boolean;
  try {
    preflight();
    closes = modes.includes('enforce') && hasUnixConnect();
  } catch {
    return null;
  }
  const loading = loadPrograms(modes, { syscalls, closes });
  // Whoever needs them is told; until then nobody listens.
  loading.catch(() => {});
  return loading;
}
