import { NO_LIMITS } from '../model/limits.ts';
import { NO_MATCH } from './match.ts';
import type { Deployment } from './policy.ts';
import { NO_ROLES } from './roles.ts';

/** A deployment as it is when nothing is said of it but its name. */
export function bareDeployment(name: string, deploys: readonly string[]): Deployment {
  return {
    name,
    source: name,
    deploys,
    mode: 'enforce',
    default: 'deny',
    defaultSource: name,
    circular: 'deny',
    rules: [],
    waivers: [],
    dns: { service: null, servers: null, onDeny: 'nxdomain' },
    onDeny: 'EPERM',
    staged: null,
    limits: NO_LIMITS,
    match: NO_MATCH,
    roles: NO_ROLES,
    delegates: new Map(),
    observeUnits: false,
  };
}
