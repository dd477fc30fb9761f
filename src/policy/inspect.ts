import { inspectDeployments } from './inspect-deployments.ts';
import { inspectOverlaps } from './inspect-overlaps.ts';
import { inspectRules } from './inspect-rules.ts';
import { inspectServices } from './inspect-services.ts';
import type { Policy } from './policy.ts';
import type { Problem } from './problem.ts';
import type { ReadFile } from './read-file.ts';
import { type Inspected, Whereabouts } from './whereabouts.ts';

/** What is doubtful in a policy without errors: warnings, each with its place. What rules do is the guard's own word. */
export function inspectPolicy(policy: Policy, files: readonly ReadFile[], now: Date): Problem[] {
  const inspected: Inspected = { policy, whereabouts: new Whereabouts(files), now };
  return [inspectServices, inspectOverlaps, inspectRules, inspectDeployments].flatMap((look) =>
    look(inspected),
  );
}
