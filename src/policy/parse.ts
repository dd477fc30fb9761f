import type { Limits } from '../model/limits.ts';
import { parseMaskPattern } from '../model/mask-pattern.ts';
import { builtinServices } from './builtin.ts';
import { checkDeployment } from './check.ts';
import { checkMatch } from './check-match.ts';
import { readDate } from './date.ts';
import { readDelegates } from './delegate.ts';
import { inspectPolicy } from './inspect.ts';
import { readCpu, readMemory, readTasks } from './limits.ts';
import { readMatch } from './match.ts';
import { nearest } from './nearest.ts';
import { nameFault } from './object-name.ts';
import { readHost } from './pattern.ts';
import { problemAt } from './place.ts';
import type { Deployment, Policy, Rule, Service, StagedFile, Waiver } from './policy.ts';
import { readAddress, readPrefix } from './prefix.ts';
import { type Fault, fault, type Problem } from './problem.ts';
import { type PolicySource, type ReadFile, readFile } from './read-file.ts';
import { ValueReader } from './read-rule.ts';
import { NO_ROLES, readRoles } from './roles.ts';
import type { DeploymentData, ServiceData } from './schema.ts';

export interface Parsed {
  /** Null when there is an error among the problems. */
  readonly policy: Policy | null;
  /** Every mistake, by file and position; warnings too. */
  readonly problems: readonly Problem[];
}

/**
 * Parses the files of a policy as one: merged by object, every mistake told with its place.
 *
 * @param now Where it is given, what is doubtful at that moment in a policy without errors is told as well.
 */
export function parsePolicy(sources: readonly PolicySource[], now: Date | null = null): Parsed {
  const problems: Problem[] = [];
  if (sources.length === 0)
    problems.push(
      problemAt('policy', { line: 1, column: 1, text: null }, fault('no-files', 'there is no policy file')),
    );
  const files = sources.map((source) => readFile(source, problems)).filter((file) => file !== null);
  const readable = files.length === sources.length;
  const policy = build(files, problems, readable);
  const isSound = readable && problems.every(({ severity }) => severity !== 'error');
  if (now && isSound) problems.push(...inspectPolicy(policy, files, now));
  const order = new Map(sources.map(({ path }, i) => [path, i]));
  problems.sort(
    (a, b) => (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line || a.column - b.column,
  );
  return { policy: isSound ? policy : null, problems };
}

/** With a file that could not be read, references are not checked: what they name may be in it. */
function build(files: readonly ReadFile[], problems: Problem[], readable: boolean): Policy {
  const names = new Set([...builtinServices.keys(), ...files.flatMap(({ serviceNames }) => serviceNames)]);
  const serviceFault = (name: string): Fault | null =>
    names.has(name) || !readable
      ? null
      : fault('unknown-service', `there is no service \`${name}\``, nearest(name, names));
  const services = new Map<string, Service>();
  const deployments = new Map<string, Deployment>();
  const floor: Rule[] = [];
  const mask: string[] = [];
  let roles = NO_ROLES;
  const first = new Map<string, string>();
  for (const file of files) {
    const reader = new ValueReader(file, problems, serviceFault);
    const define = (path: readonly string[], what: string, found: Fault | null): boolean => {
      if (found) reader.complain(path, found, 'error', 'key');
      const before = first.get(path.join('/'));
      first.set(path.join('/'), before ?? reader.keySource(path));
      if (before)
        reader.complain(
          path,
          fault('duplicate-object', `${what} is defined at ${before} already`),
          'error',
          'key',
        );
      return !found && !before;
    };
    for (const [name, data] of Object.entries(file.data.services ?? {}))
      if (define(['services', name], `service \`${name}\``, serviceNameFault(name)))
        services.set(name, readService(reader, name, data));
    for (const [name, data] of Object.entries(file.data.deployments ?? {}))
      if (define(['deployments', name], `deployment \`${name}\``, nameFault('deployment', name)))
        deployments.set(name, readDeployment(reader, name, data, names));
    if (file.data.floor && define(['floor'], '`floor`', null))
      floor.push(...readRules(reader, ['floor'], file.data.floor));
    if (file.data.mask && define(['mask'], '`mask`', null))
      mask.push(...reader.list(['mask'], file.data.mask, readMask));
    if (file.data.roles && define(['roles'], '`roles`', null))
      roles = readRoles(reader, ['roles'], file.data.roles);
  }
  const matched = new Map<string, string>();
  for (const file of files) {
    const reader = new ValueReader(file, problems, serviceFault);
    for (const [name, data] of Object.entries(file.data.deployments ?? {})) {
      const deployment = deployments.get(name);
      const own = deployment?.source === reader.keySource(['deployments', name]);
      if (!deployment || !own) continue;
      checkDeployment(reader, deployment, data, services);
      checkMatch(reader, deployment, data, matched);
    }
  }
  return { services, floor, deployments, mask, roles };
}

function readMask(text: string): string | Fault {
  const pattern = parseMaskPattern(text);
  return typeof pattern === 'string' ? fault('bad-mask', pattern) : text;
}

function serviceNameFault(name: string): Fault | null {
  if (builtinServices.has(name))
    return fault('reserved-name', `\`${name}\` is a built-in service, defined already`);
  return nameFault('service', name);
}

function readService(reader: ValueReader, name: string, data: ServiceData): Service {
  const at = ['services', name];
  return {
    name,
    source: reader.keySource(at),
    hosts: reader.list([...at, 'hosts'], data.hosts, readHost),
    addresses: reader.list([...at, 'addresses'], data.addresses, readPrefix),
    ports: reader.ports([...at, 'ports'], data.ports),
    dependsOn: (data.depends_on ?? []).flatMap(
      (needed, i) => reader.service([...at, 'depends_on', i], needed) ?? [],
    ),
    owner: data.owner ?? null,
    instead: data.instead ?? null,
    proxy: data.proxy ?? false,
    sniff: data.sniff ?? false,
  };
}

type RuleLists = Pick<DeploymentData, 'allow' | 'audit' | 'deny'>;

function readRules(reader: ValueReader, at: readonly string[], lists: RuleLists): Rule[] {
  return (['allow', 'audit', 'deny'] as const).flatMap((answer) =>
    reader.rules([...at, answer], lists[answer], answer),
  );
}

function readDeployment(
  reader: ValueReader,
  name: string,
  data: DeploymentData,
  names: ReadonlySet<string>,
): Deployment {
  const at = ['deployments', name];
  const source = reader.keySource(at);
  const deploys = data.deploys
    ? data.deploys.flatMap((deployed, i) => reader.service([...at, 'deploys', i], deployed) ?? [])
    : [name].filter((own) => names.has(own));
  if (!data.deploys && deploys.length === 0) {
    const text = `deployment \`${name}\` deploys no service: there is none of its name, so nothing is circular to it`;
    reader.complain(at, fault('nothing-deployed', text), 'warning', 'key');
  }
  return {
    name,
    source,
    deploys,
    mode: data.mode ?? 'enforce',
    default: data.default ?? 'deny',
    defaultSource: data.default ? reader.keySource([...at, 'default']) : source,
    circular: data.circular ?? 'deny',
    rules: readRules(reader, at, data),
    waivers: readWaivers(reader, [...at, 'waivers'], data),
    dns: {
      service: reader.service([...at, 'dns', 'service'], data.dns?.service),
      servers: data.dns?.servers
        ? reader.list([...at, 'dns', 'servers'], data.dns.servers, readAddress)
        : null,
      onDeny: data.dns?.on_deny ?? 'nxdomain',
    },
    onDeny: data.on_deny ?? 'EPERM',
    staged: data.staged === undefined ? null : readStaged(reader, [...at, 'staged'], data.staged),
    limits: readLimits(reader, [...at, 'limits'], data.limits ?? {}),
    match: readMatch(reader, [...at, 'match'], data.match),
    roles: readRoles(reader, [...at, 'roles'], data.roles),
    delegates: readDelegates(reader, [...at, 'delegate'], data.delegate),
    observeUnits: data.observe_units ?? false,
  };
}

function readLimits(
  reader: ValueReader,
  at: readonly string[],
  { cpu, memory, tasks }: NonNullable<DeploymentData['limits']>,
): Limits {
  const read = (key: keyof Limits, value: string | number | undefined, by: typeof readCpu) =>
    value === undefined ? null : reader.read([...at, key], () => by(value));
  return {
    cpu: read('cpu', cpu, readCpu),
    memory: read('memory', memory, readMemory),
    tasks: read('tasks', tasks, readTasks),
  };
}

function readStaged(reader: ValueReader, at: readonly string[], path: string): StagedFile {
  const { line, column } = reader.file.places.value(at);
  return { path, file: reader.file.path, line, column };
}

function readWaivers(reader: ValueReader, at: readonly string[], data: DeploymentData): Waiver[] {
  return (data.waivers ?? []).flatMap((waiver, i) => {
    const service = reader.service([...at, i, 'service'], waiver.service);
    const until = reader.read([...at, i, 'until'], () => readDate(waiver.until));
    if (service === null || until === null) return [];
    const { owner = null, reason = null } = waiver;
    return [{ service, until, source: reader.source([...at, i]), owner, reason }];
  });
}
