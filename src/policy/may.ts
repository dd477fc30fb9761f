import type { Policy, Roles, Subject } from './policy.ts';
import { NO_ROLES, writtenSubject } from './roles.ts';

/** What somebody wants of the daemon, where membership of the group is not enough. */
export type Act =
  | { readonly what: 'run'; readonly deployment: string | null }
  | { readonly what: 'break-glass'; readonly deployment: string | null }
  /** Apply, reload and roll back a policy. */
  | { readonly what: 'apply' }
  /** Make and remove live entries. */
  | { readonly what: 'entries'; readonly deployment: string | null }
  | { readonly what: 'attach' };

export interface Permission {
  readonly allowed: boolean;
  /** What of the policy says so, for people. */
  readonly why: string;
}

/**
 * Whether policy's roles let somebody who is no root, and a member of the group, do this. `is`: whether the user or
 * group is him, or has him. What a deployment says of a role takes the place of what the policy says of all of them.
 */
export function mayDo(policy: Policy | null, is: (subject: Subject) => boolean, act: Act): Permission {
  switch (act.what) {
    case 'apply':
    case 'attach':
      return judge(policy?.roles[act.what] ?? null, `roles.${act.what}`, is);
    case 'entries': {
      // What holds for every deployment must be allowed for each.
      const own = act.deployment === null ? [...(policy?.deployments.keys() ?? [])] : [act.deployment];
      const said = own.map((name) => judgeFor(policy, name, 'entries', is));
      const all = act.deployment === null ? [judgeFor(policy, null, 'entries', is), ...said] : said;
      return all.find(({ allowed }) => !allowed) ?? (all[0] as Permission);
    }
    case 'run':
      return judgeFor(policy, meantBy(policy, act.deployment), 'run', is);
    case 'break-glass':
      return judgeFor(policy, meantBy(policy, act.deployment), 'breakGlass', is);
  }
}

/** Every user and group the policy's roles name, each once. */
export function subjectsOf(policy: Policy | null): Subject[] {
  const all = [
    policy?.roles ?? NO_ROLES,
    ...[...(policy?.deployments.values() ?? [])].map(({ roles }) => roles),
  ];
  const named = all.flatMap((roles) =>
    Object.values(roles).flatMap((subjects: Roles['run']) => subjects ?? []),
  );
  return [...new Map(named.map((subject) => [writtenSubject(subject), subject])).values()];
}

/** A run that names no deployment is of the only one there is. */
function meantBy(policy: Policy | null, deployment: string | null): string | null {
  const [only, ...others] = policy?.deployments.keys() ?? [];
  return deployment ?? (others.length === 0 ? (only ?? null) : null);
}

function judgeFor(
  policy: Policy | null,
  deployment: string | null,
  role: 'run' | 'entries' | 'breakGlass',
  is: (subject: Subject) => boolean,
): Permission {
  const key = role === 'breakGlass' ? 'roles.break_glass' : `roles.${role}`;
  const own = policy?.deployments.get(deployment ?? '')?.roles[role] ?? null;
  if (own) return judge(own, `${key} of deployment ${deployment}`, is);
  return judge(policy?.roles[role] ?? null, key, is, role === 'run');
}

/** `members`: whether every member of the group may where nothing is said. */
function judge(
  subjects: Roles['run'],
  key: string,
  is: (subject: Subject) => boolean,
  members = false,
): Permission {
  if (!subjects) {
    const who = members ? 'every member of the group acyclic may' : 'only root may';
    return { allowed: members, why: `the policy has no ${key}: ${who}` };
  }
  const found = subjects.find(is);
  if (found) return { allowed: true, why: `${key} names ${writtenSubject(found)}` };
  const named = subjects.length === 0 ? 'nobody but root' : subjects.map(writtenSubject).join(', ');
  return { allowed: false, why: `${key} names ${named}` };
}
