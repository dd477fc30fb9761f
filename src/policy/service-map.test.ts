import { describe, expect, test } from 'vitest';
import { deploymentCycles } from '../graph/deployment-cycles.ts';
import { ServiceGraph } from '../graph/service-graph.ts';
import { parsePolicy } from './parse.ts';
import { formatProblem } from './problem.ts';
import { serviceMap } from './service-map.ts';

const NOW = new Date('2026-11-25T12:00:00Z');

const SERVICES = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], addresses: [192.0.2.0/24], ports: [443], depends_on: [mysql] }
  migrations: { hosts: [migrations.internal], depends_on: [github] }
  mirror: { hosts: [apt.internal, "*.mirror.internal"] }
  vault: { hosts: [vault.internal] }
  dns: { addresses: [10.0.0.2] }
  nowhere: { depends_on: [mysql] }
`;

function mapped(deployment: string, more = '') {
  const text = `${SERVICES}${more}deployments:\n  mysql:\n${deployment.replace(/^/gm, '    ')}\n`;
  const { policy, problems } = parsePolicy([{ path: 'p', text }]);
  if (!policy) throw new Error(problems.map(formatProblem).join('\n'));
  const map = serviceMap(policy, NOW);
  const found = map.deployments.get('mysql');
  if (!found) throw new Error('no deployment');
  return { map, deployment: found };
}

const needs = (deployment: string, more?: string) =>
  mapped(deployment, more).deployment.needs.map(({ service, declaration: { as } }) => `${as} ${service}`);

describe('a deployment needs', () => {
  test.each([
    ['what a rule names', 'allow: [{ service: mirror }]', ['allow mirror']],
    [
      'what a rule names by host, by wildcard or by prefix',
      'allow: [{ host: apt.internal }, { host: "*.internal" }, { address: 10.0.0.0/8 }]',
      [...['allow mirror', 'allow mysql', 'allow vault', 'allow dns']],
    ],
    ['what is for audit', 'audit: [{ host: vault.internal, ports: [8200] }]', ['audit vault']],
    ['who answers its lookups', 'dns: { service: dns }', ['dns dns']],
    [
      'what is waived, until it lapses',
      'waivers: [{ service: migrations, until: 2027-01-01 }]',
      ['waiver migrations'],
    ],
    ['nothing by a waiver that has lapsed', 'waivers: [{ service: migrations, until: 2026-11-24 }]', []],
    [
      'nothing that circular closes',
      'allow: [{ service: github }, { host: github.com }, { address: 192.0.2.7 }]',
      [],
    ],
    [
      'what circular would close if it were on',
      'circular: off\nallow: [{ service: github }]',
      ['allow github'],
    ],
    [
      'nothing that another rule closes',
      'allow: [{ host: vault.internal }]\ndeny: [{ host: vault.internal }]',
      [],
    ],
    ['nothing by a rule for everything', 'allow: [{ host: "*" }, { address: 0.0.0.0/0 }]', []],
    [
      'nothing by a rule for ports its service has not',
      'circular: off\nallow: [{ service: github, ports: [22] }]',
      [],
    ],
    ['a built-in service that a rule names', 'allow: [{ service: public-dns }]', ['allow public-dns']],
  ])('%s', (_, deployment, expected) => expect(needs(deployment)).toEqual(expected));

  test('nothing that the floor denies', () => {
    expect(needs('allow: [{ service: vault }]', 'floor: { deny: [{ host: "*.internal" }] }\n')).toEqual([]);
  });
});

describe('a call that would close a cycle', () => {
  const gates = (deployment: string) => {
    const { map, deployment: found } = mapped(deployment);
    const graph = new ServiceGraph(map, []);
    return Object.fromEntries(
      deploymentCycles(graph, found, 100).cycles.map(({ path, standing }) => [
        path.slice(1, -1).join('>'),
        standing,
      ]),
    );
  };
  test.each([
    [
      'is denied, waived or unknowable',
      'waivers: [{ service: migrations, until: 2027-01-01 }]',
      'denied',
      'waived',
    ],
    ['is recorded in audit mode', 'mode: audit', 'recorded', 'recorded'],
    [
      'is let through with circular off and a rule',
      'circular: off\nallow: [{ service: github }]',
      'let-through',
      'denied',
    ],
    [
      'is let through by the default',
      'circular: off\ndefault: allow\ndeny: [{ host: migrations.internal }]',
      'let-through',
      'denied',
    ],
  ])('%s', (_, deployment, github, migrations) => {
    expect(gates(deployment)).toEqual({ github, 'migrations>github': migrations, nowhere: 'unknowable' });
  });
});

test('a waiver carries its day, and every declaration its place', () => {
  const { deployment } = mapped('waivers: [{ service: migrations, until: 2027-01-01 }]');
  expect(deployment.needs[0]?.declaration).toEqual({ as: 'waiver', source: 'p:12', until: '2027-01-01' });
});
