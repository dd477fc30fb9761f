import { parseAddress } from '../model/address.ts';
import type { HostFact, HostUse } from './host-facts.ts';
import { scalar } from './suggest-text.ts';

/** What a first policy is written from. */
export interface FirstPolicy {
  /** As it is called. */
  readonly host: string;
  readonly deployment: string;
  /** `2026-11-25`. */
  readonly day: string;
  readonly facts: readonly HostFact[];
  /** What says that this host is a cloud's: a file; null where nothing does. */
  readonly cloud: string | null;
  /** The resolver is on this host, so that there is none to name: where that is written. */
  readonly localResolver: string | null;
}

const METADATA = '169.254.169.254';

const USES: readonly { use: HostUse; about: string }[] = [
  { use: 'packages', about: 'Where packages come from.' },
  { use: 'time', about: 'Time servers.' },
  { use: 'logs', about: 'Where this host sends its log.' },
];

/** A first policy for a host: audit only, allowing what the host's own settings name. */
export function firstPolicy(first: FirstPolicy): string {
  const { host, deployment, day, facts, cloud } = first;
  const used = USES.filter(({ use }) => facts.some((fact) => fact.use === use));
  const resolvers = facts.some(({ use }) => use === 'resolvers');
  const name = scalar(deployment);
  return [
    `# A first policy for ${plain(host)}, written by \`acyclic policy init\` on ${day} from its own settings.`,
    '# Call the deployment what it deploys, and make what depends on that services of their own.',
    'version: 1',
    '',
    'services:',
    '  # What is deployed: give it its hosts.',
    `  ${name}: {}`,
    ...resolverLines(first),
    ...used.flatMap(({ use, about }) => serviceLines(use, about, facts)),
    `  # What a cloud tells its machines of themselves${cloud === null ? ': nothing here says that this host is one' : `: ${plain(cloud)}`}.`,
    // A service that nothing uses would be the first thing `acyclic policy check` tells of.
    `  ${cloud === null ? '# ' : ''}cloud-metadata: { addresses: [${METADATA}], ports: [80/tcp] }`,
    '',
    'deployments:',
    `  ${name}:`,
    '    mode: audit # records what would be denied; to enforce it when `acyclic policy ready` says so',
    '    default: deny',
    ...(resolvers ? ['    dns: { service: resolvers }'] : []),
    ...allowLines(
      used.map(({ use }) => use),
      cloud !== null,
    ),
    '',
  ].join('\n');
}

function allowLines(services: readonly string[], cloud: boolean): string[] {
  const allowed = [...services, ...(cloud ? ['cloud-metadata'] : [])];
  if (allowed.length === 0) return ['    allow: []'];
  return ['    allow:', ...allowed.map((service) => `      - service: ${service}`)];
}

function resolverLines({ facts, localResolver }: FirstPolicy): string[] {
  const resolvers = facts.filter(({ use }) => use === 'resolvers');
  if (resolvers.length > 0) return serviceLines('resolvers', 'Who answers lookups.', facts);
  if (localResolver === null) return ['  # No resolver is named on this host.'];
  return [`  # Lookups are answered on this host itself (${plain(localResolver)}).`];
}

function serviceLines(use: HostUse, about: string, facts: readonly HostFact[]): string[] {
  const own = facts.filter((fact) => fact.use === use);
  const list = (key: string, wanted: (host: string) => boolean) => {
    const hosts = Map.groupBy(
      own.filter(({ host }) => wanted(host)),
      ({ host }) => host,
    );
    if (hosts.size === 0) return [];
    const lines = [...hosts].map(([host, found]) => {
      const sources = [...new Set(found.map(({ source }) => source))];
      const more = sources.length > 3 ? ` and ${sources.length - 3} more` : '';
      return `      - ${scalar(host)} # ${plain(sources.slice(0, 3).join(', '))}${more}`;
    });
    return [`    ${key}:`, ...lines];
  };
  const isAddress = (host: string) => parseAddress(host) !== null;
  const ports = [...new Set(own.flatMap((fact) => fact.ports))].sort(
    (a, b) => parseInt(a, 10) - parseInt(b, 10),
  );
  return [
    `  # ${about}`,
    `  ${use}:`,
    ...list('hosts', (host) => !isAddress(host)),
    ...list('addresses', isAddress),
    `    ports: [${ports.join(', ')}]`,
  ];
}

/** Names of files and hosts as a comment can hold them. */
function plain(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}
