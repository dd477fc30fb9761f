import { z } from 'zod';
import { DELEGATES, type DelegateName } from '../model/delegate.ts';
import { MOST_MASK_PATTERNS } from '../model/mask-pattern.ts';

/** Each is looked up on the host; and each cgroup of the host is held against each pattern. */
const MOST_SUBJECTS = 100;
const MOST_PATTERNS = 100;

const port = z.union([z.number(), z.string()]).describe('`443`, `443/tcp`, `8000-8100/udp`');
const ports = z.array(port).min(1);
const name = z.string().describe('the name of a service');
const host = z.string().describe('`example.com`, `*.example.com` (whatever is below it), or `*`');
const address = z.string().describe('an IP address or a prefix in canonical form');

const rule = z
  .strictObject({
    id: z.string().optional().describe('a name for the rule, in messages'),
    service: name.optional(),
    host: host.optional(),
    address: address.optional(),
    ports: ports.optional(),
    reason: z.string().optional(),
    owner: z.string().optional(),
  })
  .describe('a service, or a host, an address, or that host at that address');

const rules = z.array(rule);

const service = z.strictObject({
  hosts: z.array(host).optional(),
  addresses: z.array(address).optional(),
  ports: ports.optional().describe('narrow what `allow: service` opens, not what circular closes'),
  depends_on: z.array(name).optional(),
  owner: z.string().optional(),
  instead: z.string().optional().describe('what to use instead, in messages'),
  proxy: z.boolean().optional().describe('what a request names is the destination'),
  sniff: z
    .boolean()
    .optional()
    .describe('a connection that could be for several names waits for its first bytes'),
});

const waiver = z.strictObject({
  service: name,
  until: z.string().describe('the last day, as `2027-03-31` (UTC)'),
  owner: z.string().optional(),
  reason: z.string().optional(),
});

const subjects = z
  .array(z.string())
  .max(MOST_SUBJECTS)
  .describe('groups, `ops`, and users, `user:alice`; `[]`: nobody but root');
const patterns = z.array(z.string()).min(1).max(MOST_PATTERNS);
const delegated = z.enum(['allow', 'audit', 'deny']).optional();

const deployment = z.strictObject({
  deploys: z
    .array(name)
    .min(1)
    .optional()
    .describe('the services it deploys; default: the one of its own name'),
  match: z
    .strictObject({
      units: patterns.optional().describe('`deploy-mysql@*.service`; `*` is any characters'),
      slices: patterns.optional().describe('`deploy.slice`'),
      cgroups: patterns.optional().describe('from the root of the tree: `/system.slice/foo-*`'),
      required: z
        .boolean()
        .optional()
        .describe('a unit with `acyclic require` that cannot be guarded does not start; default: true'),
    })
    .optional()
    .describe('guarded without a wrapper, by the daemon'),
  roles: z
    .strictObject({
      run: subjects.optional().describe('who may run this deployment, in place of what the policy says'),
      entries: subjects.optional().describe('who may make live entries of it'),
      break_glass: subjects.optional().describe('who may run it with --break-glass'),
    })
    .optional()
    .describe('who may do what through the daemon'),
  delegate: z
    .strictObject(
      Object.fromEntries(
        (Object.keys(DELEGATES) as DelegateName[]).map((name) => [
          name,
          delegated.describe(`${DELEGATES[name]}, outside the run`),
        ]),
      ) as Record<DelegateName, typeof delegated>,
    )
    .optional()
    .describe('work handed to others on the host; default: audit, of ssh-agent allow'),
  observe_units: z
    .boolean()
    .optional()
    .describe('audit the units of systemd that a run sets going, by the daemon'),
  mode: z.enum(['enforce', 'audit']).optional().describe('default: enforce'),
  default: z.enum(['deny', 'allow']).optional().describe('what no rule names; default: deny'),
  circular: z.enum(['deny', 'off']).optional().describe('default: deny'),
  allow: rules.optional(),
  audit: rules.optional().describe('allowed for now, and marked'),
  deny: rules.optional(),
  waivers: z.array(waiver).optional().describe('cycles accepted until a date'),
  staged: z
    .string()
    .min(1)
    .optional()
    .describe('a policy file evaluated beside this one and recorded, never enforced'),
  dns: z
    .strictObject({
      service: name.optional(),
      servers: z.array(address).min(1).optional(),
      on_deny: z.enum(['nxdomain', 'refuse', 'resolve']).optional().describe('default: nxdomain'),
    })
    .optional(),
  on_deny: z.enum(['EPERM', 'ECONNREFUSED']).optional().describe('default: EPERM'),
  limits: z
    .strictObject({
      cpu: z.union([z.string(), z.number()]).optional().describe('`200%` is two processors'),
      memory: z.union([z.string(), z.number()]).optional().describe('`2GiB`, `512M`, or bytes'),
      tasks: z.number().optional().describe('processes and threads at once'),
    })
    .optional()
    .describe('what a run may use of the host'),
});

/** The shape of a policy file. What its texts mean is read by parse.ts. */
export const policyFile = z.strictObject({
  version: z.literal(1),
  services: z.record(z.string(), service).optional(),
  floor: z.strictObject({ deny: rules.optional() }).optional().describe('nobody below may loosen this'),
  deployments: z.record(z.string(), deployment).optional(),
  mask: z
    .array(z.string())
    .max(MOST_MASK_PATTERNS)
    .optional()
    .describe('secrets beside the known ones: text with one `*`, which stands for the secret'),
  roles: z
    .strictObject({
      run: subjects.optional().describe('who may run; default: every member of the group acyclic'),
      apply: subjects.optional().describe('who may apply, reload and roll back a policy'),
      entries: subjects.optional().describe('who may make and remove live entries'),
      attach: subjects.optional().describe('who may attach to a cgroup, and detach'),
      break_glass: subjects.optional().describe('who may run with --break-glass'),
    })
    .optional()
    .describe('who may do what through the daemon; root may do all'),
});

export type PolicyFile = z.infer<typeof policyFile>;
export type RuleData = z.infer<typeof rule>;
export type ServiceData = z.infer<typeof service>;
export type DeploymentData = z.infer<typeof deployment>;

/** The published JSON Schema (docs/policy.schema.json), which editors complete from. */
export function policyJsonSchema(): object {
  return { title: 'Acyclic policy', ...z.toJSONSchema(policyFile, { target: 'draft-7' }) };
}
