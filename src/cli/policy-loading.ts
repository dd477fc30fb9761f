import { ownAddresses } from '../guard/own-addresses.ts';
import { type CompiledPolicy, type CompileOptions, compile } from '../policy/compile.ts';
import type { Policy } from '../policy/policy.ts';

/** A policy as a run on this host, now and without options, would judge by it. Throws CompileFailure. */
export function compileHere(
  policy: Policy | null,
  deployment: string | null,
  overrides: Partial<CompileOptions> = {},
): CompiledPolicy {
  return compile(policy, {
    deployment,
    ...{ allow: [], deny: [], default: null, mode: null, now: new Date() },
    ownAddresses: ownAddresses(),
    ...overrides,
  });
}
