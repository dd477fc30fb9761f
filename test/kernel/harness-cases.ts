import fc from 'fast-check';
import { type Address, parsePrefix } from '../../src/model/address.ts';
import type { Destination } from '../../src/model/destination.ts';
import type { Name } from '../../src/model/name.ts';
import { type CompiledPolicy, compile } from '../../src/policy/compile.ts';
import { type DestPattern, parseDest } from '../../src/policy/dest.ts';
import { parsePolicy } from '../../src/policy/parse.ts';
import { formatProblem, isFault } from '../../src/policy/problem.ts';
import { type Attempt, KINDS } from './harness-dial.ts';

/** This host's own address, in the engine's network namespace. */
export const OWN = '10.0.0.5';

const IPV4 = [OWN, '10.0.0.6', '10.0.0.7', '10.1.0.1', '192.0.2.1', '127.0.0.1', '127.9.9.9', '0.0.0.0'];
const IPV6 = ['::', '::1', '2001:db8::1', '2001:db8::2', '2001:db8:0:1::1', '2001:dead::1'];
const PUBLIC_DNS = '8.8.8.8';
export const ADDRESSES: readonly Address[] = [...IPV4, ...IPV6, PUBLIC_DNS];
const HOSTS = ['*', '*.c', '*.b.c', 'b.c', 'a.b.c', 'x.b.c', '*.x.b.c', 'z'];
export const NAMES: readonly Name[] = ['a.b.c', 'b.c', 'x.b.c', 'y.x.b.c', 'c', 'z', 'ab.c'];
const PORT_SPECS = ['0', '80-443', '443', '443/tcp', '54/udp', '8000-9000/udp', '0-65535/tcp', '1024-65535'];
/** Both sides of every edge above. 53 is not here: it is turned to the DNS proxy. */
const PORTS = [1, 52, 54, 55, 79, 80, 81, 442, 443, 444, 1023, 1024, 7999, 8000, 9000, 9001, 65535];
const SERVICES = ['d', 'e', 's1', 's2', 's3', 's4'];
/** Waivers are judged at this moment. */
const NOW = new Date('2026-11-23T12:00:00Z');

const address = fc.constantFrom(...ADDRESSES);
const prefix = fc.tuple(address, fc.integer({ min: 0, max: 128 })).map(([text, length]) => {
  const limit = text.includes(':') ? 128 : 32;
  // A third of them lone addresses; the others cover several of the pool, nested.
  if (length % 3 === 0) return text;
  const parsed = parsePrefix(`${text}/${length % (limit + 1)}`);
  if (typeof parsed === 'string') throw new Error(`${text}/${length}: ${parsed}`);
  return 'hostBitsSet' in parsed ? parsed.hostBitsSet : parsed.text;
});
const host = fc.constantFrom(...HOSTS);
const ports = fc.option(fc.uniqueArray(fc.constantFrom(...PORT_SPECS), { minLength: 1, maxLength: 3 }), {
  nil: undefined,
});

const rule = fc.oneof(
  fc.record({ ports, service: fc.constantFrom(...SERVICES, 'public-dns') }),
  fc.record({ ports, host }),
  { arbitrary: fc.record({ ports, address: prefix }), weight: 2 },
  fc.record({ ports, host, address: prefix }),
);
const rules = fc.array(rule, { maxLength: 5 });

const service = fc.record({
  hosts: fc.uniqueArray(host, { maxLength: 2 }),
  addresses: fc.uniqueArray(prefix, { maxLength: 2 }),
  ports,
  depends_on: fc.uniqueArray(fc.constantFrom(...SERVICES), { maxLength: 2 }),
  proxy: fc.constantFrom(false, false, false, true),
  sniff: fc.constantFrom(false, false, true),
});

const waiver = fc.record({
  service: fc.constantFrom(...SERVICES.slice(2)),
  // The day before, the day itself (in force to its end), and later.
  until: fc.constantFrom('2026-11-22', '2026-11-23', '2030-01-01'),
});

/** A policy as its user would write it. */
export const written = fc.record({
  version: fc.constant(1),
  services: fc.record(Object.fromEntries(SERVICES.map((name) => [name, service]))),
  floor: fc.record({ deny: fc.array(rule, { maxLength: 1 }) }),
  deployments: fc.record({
    d: fc.record({
      deploys: fc.constantFrom(undefined, ['d'], ['d', 'e']),
      default: fc.constantFrom('allow', 'deny'),
      circular: fc.constantFrom('deny', 'deny', 'off'),
      on_deny: fc.constantFrom('EPERM', 'ECONNREFUSED'),
      allow: rules,
      audit: fc.array(rule, { maxLength: 2 }),
      deny: fc.array(rule, { maxLength: 3 }),
      waivers: fc.uniqueArray(waiver, { maxLength: 1 }),
    }),
  }),
});

const dest = fc
  .tuple(
    fc.oneof(
      host,
      prefix,
      fc.constantFrom(...SERVICES).map((name) => `service:${name}`),
    ),
    fc.option(fc.constantFrom(...PORT_SPECS), { nil: undefined }),
  )
  .map(([text, spec]) => {
    if (spec === undefined) return text;
    return text.includes(':') && !text.startsWith('service:') ? `[${text}]:${spec}` : `${text}:${spec}`;
  });

export const options = fc.record({
  allow: fc.array(dest, { maxLength: 1 }),
  deny: fc.array(dest, { maxLength: 1 }),
  default: fc.constantFrom(null, null, 'allow' as const, 'deny' as const),
  live: fc.array(
    fc.record({
      verdict: fc.constantFrom('allow' as const, 'deny' as const),
      // A service that is not there holds nothing; an entry of another deployment is not this one's.
      dest: fc.oneof({ arbitrary: dest, weight: 5 }, fc.constant('service:gone')),
      deployment: fc.constantFrom(null, null, 'd', 'other'),
    }),
    { maxLength: 2 },
  ),
});

/** A call by any protocol, with names that may lead to its address. */
export const destination: fc.Arbitrary<Destination> = fc.record({
  address,
  port: fc.constantFrom(...PORTS),
  protocol: fc.constantFrom('tcp', 'tcp', 'udp', 'other'),
  names: fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 3 }),
});

const known = fc.tuple(address, fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }));

function attempt(kinds: readonly string[]): fc.Arbitrary<Attempt> {
  return fc.constantFrom(...kinds).chain((kind) => {
    const { family = 4, transport = 'tcp' } = KINDS[kind] ?? {};
    return fc.record({
      kind: fc.constant(kind),
      address: family === 4 ? fc.constantFrom(...IPV4, PUBLIC_DNS) : fc.constantFrom(...IPV6),
      // sendto() to UDP port 0 is EINVAL before any hook.
      port: fc.constantFrom(...(transport === 'tcp' ? [0, ...PORTS] : PORTS)),
    });
  });
}

/** A policy, what is known of addresses, and attempts to judge. */
export interface Case {
  readonly written: object;
  readonly options: {
    allow: string[];
    deny: string[];
    default: 'allow' | 'deny' | null;
    live?: { verdict: 'allow' | 'deny'; dest: string; deployment: string | null }[];
  };
  readonly learned: [Address, Name[]][];
  /** Whether the caller is in the engine's network namespace. */
  readonly here: boolean;
  readonly attempts: Attempt[];
}

/** Cases whose attempts are of these kinds. */
export function cases(kinds: readonly string[]): fc.Arbitrary<Case> {
  return fc.record({
    written,
    options,
    learned: fc.array(known, { maxLength: 5 }),
    here: fc.constantFrom(true, true, false),
    attempts: fc.array(attempt(kinds), { minLength: 1, maxLength: 24, size: 'max' }),
  });
}

/** Reads and compiles a policy the way `run` does: JSON is YAML. */
export function compiled(
  { written: plain, options: given }: Pick<Case, 'written' | 'options'>,
  ownAddresses: readonly Address[],
): CompiledPolicy {
  const { policy, problems } = parsePolicy([{ path: 'p.yaml', text: JSON.stringify(plain) }]);
  if (!policy) throw new Error(problems.map(formatProblem).join('\n'));
  return compile(policy, {
    deployment: 'd',
    allow: given.allow.map(readDest),
    deny: given.deny.map(readDest),
    default: given.default,
    live: (given.live ?? []).map(({ dest, ...entry }, i) => ({
      ...{ ...entry, id: `${i}`, dest: readDest(dest) },
      ...{ reason: 'tried', owner: 'root', until: '2026-11-23T14:00:00Z' },
    })),
    mode: null,
    now: NOW,
    ownAddresses,
  });
}

function readDest(text: string): DestPattern {
  const parsed = parseDest(text);
  if (isFault(parsed)) throw new Error(`${text}: ${parsed.message}`);
  return parsed;
}
