import { LONGEST_OBJECT_NAME, OBJECT_NAME } from '../model/object-name.ts';
import { type Fault, fault } from './problem.ts';

/** What is wrong with a service's or deployment's name; null when nothing is. */
export function nameFault(kind: 'service' | 'deployment', name: string): Fault | null {
  if (name.length > LONGEST_OBJECT_NAME)
    return fault('bad-name', `the name of a ${kind} has at most ${LONGEST_OBJECT_NAME} characters`);
  if (OBJECT_NAME.test(name)) return null;
  const meant = name
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '');
  const message = `\`${name}\` cannot name a ${kind}: lower-case letters, digits, \`.\`, \`_\` and \`-\`, the first a letter or digit`;
  return fault('bad-name', message, OBJECT_NAME.test(meant) ? meant : null);
}
