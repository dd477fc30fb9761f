import { type Fault, fault } from './problem.ts';

/** The grammar of the names of services, deployments and of rule ids (ids may have capitals). */
export const OBJECT_NAME = /^[a-z0-9][a-z0-9._-]*$/;

const LONGEST = 128;

/** What is wrong with a service's or deployment's name; null when nothing is. */
export function nameFault(kind: 'service' | 'deployment', name: string): Fault | null {
  if (name.length > LONGEST)
    return fault('bad-name', `the name of a ${kind} has at most ${LONGEST} characters`);
  if (OBJECT_NAME.test(name)) return null;
  const meant = name
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '');
  const message = `\`${name}\` cannot name a ${kind}: lower-case letters, digits, \`.\`, \`_\` and \`-\`, the first a letter or digit`;
  return fault('bad-name', message, OBJECT_NAME.test(meant) ? meant : null);
}
