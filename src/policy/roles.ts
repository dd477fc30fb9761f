import type { Roles, Subject } from './policy.ts';
import { type Fault, fault } from './problem.ts';
import type { ValueReader } from './read-rule.ts';
import type { PolicyFile } from './schema.ts';

/** Nobody is named for anything. */
export const NO_ROLES: Roles = { run: null, apply: null, entries: null, attach: null, breakGlass: null };

/** Names of users and groups as useradd(8) makes them, and as directories do: `DOMAIN\admins`, `ops@example.com`. */
const NAME = /^[\p{L}\p{N}_](?:[\p{L}\p{N}_.@\\ -]{0,254}[\p{L}\p{N}_$])?$/u;
const NUMBER = /^\d+$/;

/** Reads a group, `ops` or `group:ops`, or a user, `user:alice`. */
export function readSubject(text: string): Subject | Fault {
  const [, kind = 'group', name = ''] = /^(?:(user|group):)?(.*)$/s.exec(text) ?? [];
  if (NUMBER.test(name))
    return fault('bad-role', `\`${text}\` is a number: name the ${kind}, as getent ${databaseOf(kind)} does`);
  if (NAME.test(name)) return { kind: kind as Subject['kind'], name };
  const meant = name.trim().replace(/^[%@+]+/, '');
  return fault(
    'bad-role',
    `\`${text}\` names nobody: write a group, \`ops\`, or a user, \`user:alice\``,
    NAME.test(meant) && !NUMBER.test(meant) ? `${kind === 'user' ? 'user:' : ''}${meant}` : null,
  );
}

function databaseOf(kind: string): string {
  return kind === 'user' ? 'passwd' : 'group';
}

/** Who may do what, as a policy or a deployment says; of what it does not speak, null. */
export function readRoles(reader: ValueReader, at: readonly string[], data: PolicyFile['roles'] = {}): Roles {
  const read = (key: keyof typeof data) => {
    const names = data[key];
    return names ? reader.list([...at, key], names, readSubject) : null;
  };
  return {
    run: read('run'),
    apply: read('apply'),
    entries: read('entries'),
    attach: read('attach'),
    breakGlass: read('break_glass'),
  };
}

/** As in the policy language, those that are set; nobody is `[]`. */
export function writtenRoles(roles: Roles): Record<string, string | null> {
  const written = (subjects: Roles['run']) =>
    subjects && ([...new Set(subjects.map(writtenSubject))].sort().join(', ') || '[]');
  return {
    'roles.run': written(roles.run),
    'roles.apply': written(roles.apply),
    'roles.entries': written(roles.entries),
    'roles.attach': written(roles.attach),
    'roles.break_glass': written(roles.breakGlass),
  };
}

export function writtenSubject({ kind, name }: Subject): string {
  return kind === 'group' ? name : `user:${name}`;
}
