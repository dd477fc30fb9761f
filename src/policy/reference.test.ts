import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressBytes, type Prefix, prefixHolds } from '../model/address.ts';
import type { Transport } from '../model/destination.ts';
import type { Answer } from '../model/verdict.ts';
import { type CompiledPolicy, compile } from './compile.ts';
import { parseDest } from './dest.ts';
import { evaluate, evaluateLookup } from './evaluate.ts';
import { addressTable, type Segment, segmentsOf } from './flatten.ts';
import { parsePolicy } from './parse.ts';
import { formatProblem, isFault } from './problem.ts';

/**
 * Design §3 once more, by listing every rule for every identity: no index, no shared code but the model's
 * words. It reads the same plain data the policy text is printed from.
 */
interface PlainRule {
  readonly answer: Answer;
  readonly service?: string | undefined;
  readonly host?: string | undefined;
  readonly address?: string | undefined;
  readonly ports?: string[] | undefined;
}
interface PlainService {
  readonly hosts: string[];
  readonly addresses: string[];
  readonly ports?: string[] | undefined;
  readonly depends_on: string[];
}
interface Plain {
  readonly live: readonly { readonly answer: 'allow' | 'deny'; readonly dest: string }[];
  readonly services: Record<string, PlainService>;
  readonly floor: PlainRule[];
  readonly rules: PlainRule[];
  readonly waived: string[];
  readonly default: 'allow' | 'deny';
}
interface Flat {
  /** Null says nothing, and hides what is less specific. */
  readonly answer: Answer | null;
  readonly host: string | null;
  readonly address: string | null;
  /** Each list must hold the port; none is every port. */
  readonly ports: string[][];
}

function bits(address: string): string {
  const part = (text: string) => Number.parseInt(text, 16).toString(2).padStart(16, '0');
  if (!address.includes(':'))
    return `4${address
      .split('.')
      .map((o) => Number(o).toString(2).padStart(8, '0'))
      .join('')}`;
  const [head = '', tail = ''] = address.split('::');
  const left = head ? head.split(':') : [];
  const right = tail ? tail.split(':') : [];
  return `6${[...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right].map(part).join('')}`;
}

function prefixBits(prefix: string): string {
  const [address = '', length] = prefix.split('/');
  return bits(address).slice(0, length === undefined ? undefined : Number(length) + 1);
}

function flatten(rule: PlainRule, services: Plain['services']): Flat[] {
  const own = rule.ports ? [rule.ports] : [];
  if (!rule.service)
    return [{ answer: rule.answer, host: rule.host ?? null, address: rule.address ?? null, ports: own }];
  const service = services[rule.service] as PlainService;
  const ports = rule.answer !== 'deny' && service.ports ? [...own, service.ports] : own;
  return identitiesOf(service).map((identity) => ({ answer: rule.answer, ...identity, ports }));
}

/** A DEST by hand: `service:s1`, `*.b.c`, `10.0.0.0/8`, each with or without a port, IPv6 in brackets. */
function liveRule({ answer, dest }: Plain['live'][number]): PlainRule {
  const [, bracketed, bare = '', port] =
    /^(?:\[(.*)\]|((?:service:)?[^:]*|[^[]*::[^[]*?))(?::(\d\S*))?$/.exec(dest) ?? [];
  const ports = port === undefined ? undefined : [port];
  const head = bracketed ?? bare;
  if (head.startsWith('service:')) return { answer, ports, service: head.slice('service:'.length) };
  return /^[\d.]+(\/\d+)?$|:/.test(head) ? { answer, ports, address: head } : { answer, ports, host: head };
}

function identitiesOf(service: PlainService): Pick<Flat, 'host' | 'address'>[] {
  return [
    ...service.hosts.map((host) => ({ host, address: null })),
    ...service.addresses.map((address) => ({ host: null, address })),
  ];
}

function reaches(from: string, services: Plain['services'], seen: string[] = []): boolean {
  if (from === 'd') return true;
  if (seen.includes(from)) return false;
  return (services[from]?.depends_on ?? []).some((next) => reaches(next, services, [...seen, from]));
}

function hostMatches(pattern: string, name: string): boolean {
  if (pattern === '*') return true;
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : pattern === name;
}

const hostScore = (pattern: string) =>
  pattern === '*' ? 0 : pattern.startsWith('*.') ? pattern.split('.').length - 1 : 100;

function portMatches(lists: string[][], protocol: Transport, port: number): boolean {
  return lists.every((list) =>
    list.some((spec) => {
      const [range = '', only] = spec.split('/');
      const [from = '0', to = from] = range.split('-');
      return (
        protocol !== 'other' && (!only || only === protocol) && Number(from) <= port && port <= Number(to)
      );
    }),
  );
}

function naive(
  plain: Plain,
  address: string | null,
  names: string[],
  protocol: Transport,
  port: number,
): Answer {
  const settled = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  const circular = Object.entries(plain.services).flatMap(([name, service]): Flat[] => {
    const open = plain.waived.includes(name) ? 'allow' : 'deny';
    const answer = name === 'd' || !reaches(name, plain.services) ? null : open;
    return identitiesOf(service).map((identity) => ({ answer, ...identity, ports: [] }));
  });
  const live = (answer: Answer) =>
    plain.live.flatMap((entry) => (entry.answer === answer ? flatten(liveRule(entry), plain.services) : []));
  const tiers = [
    live('deny'),
    live('allow'),
    plain.floor.flatMap((rule) => flatten(rule, plain.services)),
    circular,
    plain.rules.flatMap((rule) => flatten(rule, plain.services)),
  ];
  for (const tier of tiers) {
    const holding = tier.filter(({ host, address: prefix, ports }) => {
      if (!portMatches(ports, protocol, port)) return false;
      const byHost = host === null || names.some((name) => hostMatches(host, name));
      const byAddress = prefix === null || (settled !== null && bits(settled).startsWith(prefixBits(prefix)));
      return byHost && byAddress;
    });
    const winner = (mine: Flat[]): Answer | null => {
      const score = ({ host, address: prefix, ports, answer }: Flat) => [
        Number(host !== null && prefix !== null),
        host === null ? 0 : hostScore(host),
        prefix === null ? 0 : prefixBits(prefix).length,
        Number(ports.length > 0),
        [null, 'allow', 'audit', 'deny'].indexOf(answer),
      ];
      const compare = (a: Flat, b: Flat) => {
        const [x, y] = [score(a), score(b)];
        const at = x.findIndex((value, i) => value !== y[i]);
        return at < 0 ? 0 : (y[at] ?? 0) - (x[at] ?? 0);
      };
      return [...mine].sort(compare)[0]?.answer ?? null;
    };
    const answers = [
      ...names.map((name) => winner(holding.filter(({ host }) => host !== null && hostMatches(host, name)))),
      winner(holding.filter(({ address: prefix }) => prefix !== null)),
    ];
    for (const answer of ['deny', 'allow', 'audit'] as const) if (answers.includes(answer)) return answer;
  }
  const loopback = settled === '::1' || settled?.startsWith('127.') || settled === OWN;
  return loopback ? 'allow' : plain.default;
}

const OWN = '10.0.0.5';
const hosts = ['*', '*.c', '*.b.c', 'b.c', 'a.b.c', 'x.b.c', '*.x.b.c', 'z'];
const names = ['a.b.c', 'b.c', 'x.b.c', 'y.x.b.c', 'c', 'z', 'ab.c'];
const prefixes = [
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.0.0.0/24',
  OWN,
  '10.0.0.6',
  '127.0.0.0/8',
  '127.0.0.1',
  '::/0',
  '2001:db8::/32',
  '2001:db8::1',
  '::1',
];
const addresses = [
  OWN,
  '10.0.0.6',
  '10.0.0.7',
  '10.1.0.1',
  '192.0.2.1',
  '127.0.0.1',
  '127.9.9.9',
  '0.0.0.0',
  '::',
  '::1',
  '2001:db8::1',
  '2001:db8::2',
  '2001:dead::1',
];
const portSpecs = ['0', '53', '80-443', '443', '443/tcp', '53/udp', '8000-9000/udp', '0-65535/tcp'];
const serviceNames = ['d', 's1', 's2', 's3'];

const some = <T>(values: readonly T[], max: number) =>
  fc.array(fc.constantFrom(...values), { maxLength: max });
const ports = fc.option(fc.array(fc.constantFrom(...portSpecs), { minLength: 1, maxLength: 3 }), {
  nil: undefined,
});
const anyRule = (answers: readonly Answer[]): fc.Arbitrary<PlainRule> => {
  const answer = fc.constantFrom(...answers);
  const host = fc.constantFrom(...hosts);
  const address = fc.constantFrom(...prefixes);
  return fc.oneof(
    fc.record({ answer, ports, service: fc.constantFrom(...serviceNames) }),
    fc.record({ answer, ports, host }),
    fc.record({ answer, ports, address }),
    fc.record({ answer, ports, host, address }),
  );
};
const service = fc.record({
  hosts: some(hosts, 2),
  addresses: some(prefixes, 2),
  ports,
  depends_on: some(serviceNames, 2),
});
const dest = fc
  .tuple(
    fc.oneof(
      fc.constantFrom(...hosts),
      fc.constantFrom(...prefixes),
      fc.constantFrom(...serviceNames).map((name) => `service:${name}`),
    ),
    fc.constantFrom(null, null, ...portSpecs),
  )
  .map(([text, spec]) => {
    if (text.includes('::')) return spec === null ? text : `[${text}]:${spec}`;
    return spec === null ? text : `${text}:${spec}`;
  });
const plainPolicy: fc.Arbitrary<Plain> = fc.record({
  live: fc.array(fc.record({ answer: fc.constantFrom('allow', 'deny'), dest }), { maxLength: 3 }),
  services: fc.record(Object.fromEntries(serviceNames.map((name) => [name, service]))),
  floor: fc.array(anyRule(['deny']), { maxLength: 2 }),
  rules: fc.array(anyRule(['allow', 'audit', 'deny']), { maxLength: 8 }),
  waived: some(serviceNames, 1),
  default: fc.constantFrom('allow', 'deny'),
});

/** The policy as a user would write it: JSON is YAML. */
function compiled(plain: Plain) {
  const list = (rules: PlainRule[], wanted: Answer) =>
    rules.filter(({ answer }) => answer === wanted).map(({ answer: _, ...rule }) => rule);
  const { rules, floor, waived } = plain;
  const deployment = {
    default: plain.default,
    allow: list(rules, 'allow'),
    audit: list(rules, 'audit'),
    deny: list(rules, 'deny'),
    waivers: waived.map((name) => ({ service: name, until: '2030-01-01' })),
  };
  const text = JSON.stringify({
    version: 1,
    services: plain.services,
    floor: { deny: list(floor, 'deny') },
    deployments: { d: deployment },
  });
  const { policy, problems } = parsePolicy([{ path: 'p.yaml', text }]);
  if (!policy) throw new Error(problems.map(formatProblem).join('\n'));
  return compile(policy, {
    deployment: 'd',
    live: plain.live.map(({ answer, dest: text }) => {
      const dest = parseDest(text);
      if (isFault(dest)) throw new Error(`${text}: ${dest.message}`);
      const about = {
        id: text,
        deployment: null,
        reason: 'tried',
        owner: 'root',
        until: '2030-01-01T00:00:00Z',
      };
      return { ...about, verdict: answer, dest };
    }),
    allow: [],
    deny: [],
    default: null,
    mode: null,
    now: new Date(0),
    ownAddresses: [OWN],
  });
}

/** Both sides of every edge in `portSpecs`. */
const edges = [0, 1, 52, 53, 54, 79, 80, 442, 443, 444, 7999, 8000, 9000, 9001, 65535];
const places: readonly (readonly [Transport, number])[] = [
  ...edges.map((port) => ['tcp', port] as const),
  ...edges.map((port) => ['udp', port] as const),
  ['other', 0],
];
/** With an address: without one it is a lookup, judged by `evaluateLookup`. */
const destination = fc.tuple(fc.constantFrom(...addresses), some(names, 3));

type AnswerAt = (protocol: Transport, port: number) => Answer | undefined;

function everywhere(answer: AnswerAt): string[] {
  return places.map(([protocol, port]) => `${protocol} ${port} ${answer(protocol, port)}`);
}

function evaluated(policy: CompiledPolicy, address: string, known: string[]): AnswerAt {
  return (protocol, port) => evaluate(policy, { address, names: known, protocol, port }).answer;
}

test('evaluate agrees with the naive reading of design §3 on generated policies and destinations', () => {
  fc.assert(
    fc.property(plainPolicy, fc.array(destination, { minLength: 4, maxLength: 4 }), (plain, destinations) => {
      const policy = compiled(plain);
      for (const [address, known] of destinations)
        expect([address, ...known, everywhere(evaluated(policy, address, known))]).toEqual([
          address,
          ...known,
          everywhere((protocol, port) => naive(plain, address, known, protocol, port)),
        ]);
    }),
    { numRuns: 800 },
  );
});

function answerAt(segments: readonly Segment[], protocol: Transport, port: number): Answer | undefined {
  return segments.find((one) => one.protocol === protocol && one.from <= port && port <= one.to)?.answer;
}

function expectComplete(segments: readonly Segment[]): void {
  for (const [protocol, last] of [
    ['tcp', 65535],
    ['udp', 65535],
    ['other', 0],
  ] as const) {
    const mine = segments.filter((one) => one.protocol === protocol);
    expect(mine[0]?.from).toBe(0);
    expect(mine.at(-1)?.to).toBe(last);
    mine.slice(1).forEach((one, i) => {
      expect(one.from).toBe((mine[i]?.to ?? 0) + 1);
      const said = ({ from, to, ...rest }: Segment) => rest;
      expect(said(one)).not.toEqual(said(mine[i] as Segment));
    });
  }
}

test('segments are evaluate at every port: complete, sorted, merged', () => {
  fc.assert(
    fc.property(plainPolicy, destination, (plain, [address, known]) => {
      const policy = compiled(plain);
      const segments = segmentsOf(policy, address, [known]);
      expectComplete(segments);
      const flat = everywhere((protocol, port) => answerAt(segments, protocol, port));
      expect(flat).toEqual(everywhere(evaluated(policy, address, known)));
    }),
    { numRuns: 500 },
  );
});

test('the longest prefix of the address table alone gives the verdict of an address without names', () => {
  const holds = (prefix: Prefix, address: string) => prefixHolds(prefix, addressBytes(address));
  fc.assert(
    fc.property(plainPolicy, (plain) => {
      const policy = compiled(plain);
      const table = [...addressTable(policy)];
      for (const address of addresses) {
        // As the kernel does before it looks (verdict.bpf.h, settle_unspecified).
        const settled = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
        const found = table
          .filter(({ prefix }) => holds(prefix, settled))
          .sort((a, b) => b.prefix.length - a.prefix.length)[0];
        const flat = everywhere((protocol, port) => answerAt(found?.segments ?? [], protocol, port));
        expect([address, flat]).toEqual([address, everywhere(evaluated(policy, address, []))]);
      }
    }),
    { numRuns: 300 },
  );
});

test('a lookup is denied exactly if no port of its names could be allowed, rules that name an address aside', () => {
  fc.assert(
    fc.property(plainPolicy, some(names, 2), (drawn, known) => {
      const unpinned = (rules: PlainRule[]) => rules.filter(({ host, address }) => !(host && address));
      const plain = { ...drawn, floor: unpinned(drawn.floor), rules: unpinned(drawn.rules) };
      const policy = compiled(plain);
      const open = places.some(([protocol, port]) => naive(plain, null, known, protocol, port) !== 'deny');
      expect(evaluateLookup(policy, known).answer !== 'deny').toBe(open);
    }),
    { numRuns: 500 },
  );
});
