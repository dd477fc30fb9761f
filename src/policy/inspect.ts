import { compile } from './compile.ts';
import { inspectCircular, OpenServices } from './inspect-circular.ts';
import { inspectDeployment } from './inspect-deployment.ts';
import { inspectMatches } from './inspect-matches.ts';
import { inspectOverlaps } from './inspect-overlaps.ts';
import { inspectFloor, inspectRules } from './inspect-rules.ts';
import { inspectServices } from './inspect-services.ts';
import { standInsOf } from './opened.ts';
import type { Policy } from './policy.ts';
import type { Problem } from './problem.ts';
import type { ReadFile } from './read-file.ts';
import { type Inspected, Whereabouts } from './whereabouts.ts';

/**
 * What is doubtful in a policy without errors: warnings, each with its place. What its rules do is asked of each
 * deployment compiled as for a run without options, and of the engine that guards.
 */
export function inspectPolicy(policy: Policy, files: readonly ReadFile[], now: Date): Problem[] {
  const inspected: Inspected = { policy, whereabouts: new Whereabouts(files), now };
  const options = { allow: [], deny: [], default: null, mode: null, ownAddresses: [], now };
  const standIns = standInsOf(policy);
  const problems = [
    ...inspectServices(inspected),
    ...inspectOverlaps(inspected),
    ...inspectMatches(inspected),
  ];
  const open = new OpenServices();
  for (const [i, deployment] of [...policy.deployments.values()].entries()) {
    const compiled = compile(policy, { deployment: deployment.name, ...options });
    // The floor is the same for all.
    if (i === 0) problems.push(...inspectFloor(inspected, compiled, standIns));
    problems.push(
      ...inspectRules(inspected, deployment, compiled, standIns),
      ...inspectDeployment(inspected, deployment, compiled),
    );
    open.add(inspected, deployment, compiled);
  }
  return [...problems, ...inspectCircular(inspected, open)];
}
