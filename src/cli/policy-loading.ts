import { ownAddresses } from '../guard/own-addresses.ts';
import { type LoadedPolicy, loadInstalledPolicy, loadPolicy } from '../guard/policy-files.ts';
import { type CompiledPolicy, type CompileOptions, compile } from '../policy/compile.ts';
import type { Policy } from '../policy/policy.ts';
import { Failure } from './output.ts';

/** The policy given, else the installed one. Throws PolicyFailure, or Failure where there is none. */
export function requirePolicy(path: string | undefined): LoadedPolicy {
  const loaded = path === undefined ? loadInstalledPolicy() : loadPolicy(path);
  if (loaded) return loaded;
  throw new Failure('bad-value', 'there is no policy', 'give one with -p');
}

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
