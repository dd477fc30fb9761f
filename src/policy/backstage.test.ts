import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { importBackstage } from './backstage.ts';
import { servicesText } from './backstage-text.ts';
import { parsePolicy } from './parse.ts';

const entity = (kind: string, name: string, spec = '', metadata = '') =>
  `apiVersion: backstage.io/v1alpha1\nkind: ${kind}\nmetadata:\n  name: ${name}\n${metadata}spec:\n  type: x\n${spec}`;

/** Services as `name owner: needs`, and what was left, as `line message`. */
function imported(...documents: string[]) {
  const catalog = importBackstage([{ path: 'c.yaml', text: documents.join('---\n') }]);
  const { policy, problems } = parsePolicy([{ path: 's.yaml', text: servicesText(catalog) }]);
  expect(problems).toEqual([]);
  const services = catalog.services.map(({ name, owner, dependsOn }) =>
    `${name}${owner === null ? '' : ` ${owner}`}: ${dependsOn.join(' ')}`.trim(),
  );
  // What is printed is what was found.
  expect(
    [...(policy?.services ?? [])].map(([name, one]) =>
      `${name}${one.owner === null ? '' : ` ${one.owner}`}: ${one.dependsOn.join(' ')}`.trim(),
    ),
  ).toEqual(services);
  return {
    services,
    left: catalog.unmapped.map(({ line, message }) => `${line} ${message}`),
    passedOver: catalog.passedOver,
  };
}

describe('a catalog', () => {
  test('gives components and resources with owners, and what they depend on', () => {
    const { services, left, passedOver } = imported(
      entity(
        'Component',
        'shop',
        '  owner: group:default/web\n  dependsOn: [resource:orders-db, component:default/users]\n',
      ),
      entity('Component', 'users', '  owner: team-a\n'),
      entity('Resource', 'orders-db', '  owner: user:ops/jane\n  dependencyOf: ["component:users"]\n'),
      entity('Group', 'web'),
      entity('Group', 'team-a'),
    );
    expect(services).toEqual(['shop web: orders-db users', 'users team-a: orders-db', 'orders-db ops/jane:']);
    expect(left).toEqual([]);
    expect([...passedOver]).toEqual([['group', 2]]);
  });

  test('joins consumed APIs to who provides them, in the files or not', () => {
    const { services, left } = imported(
      entity(
        'Component',
        'shop',
        '  consumesApis: [users-api, "api:default/pay"]\n  dependsOn: ["api:users-api"]\n',
      ),
      entity('Component', 'users', '  providesApis: [users-api]\n'),
      entity('Component', 'users-2', '  providesApis: [default/users-api]\n  consumesApis: [users-api]\n'),
      entity('API', 'users-api', '  definition: x\n'),
    );
    expect(services).toEqual(['shop: users users-2', 'users:', 'users-2: users']);
    expect(left).toEqual([
      '1 component:default/shop: it consumes api:default/pay, which nothing in these files provides',
    ]);
  });

  test('has a system where something depends on it, with its parts', () => {
    const { services } = imported(
      entity('Component', 'shop', '  dependsOn: ["system:payments"]\n'),
      entity('Component', 'pay', '  system: payments\n'),
      entity('Resource', 'pay-db', '  system: payments\n'),
      entity('System', 'payments', '  owner: team-b\n'),
      entity('System', 'idle'),
    );
    expect(services).toEqual(['shop: payments', 'pay:', 'pay-db:', 'payments team-b: pay pay-db']);
  });

  test('tells equal names apart by kind and namespace, and compares them without case', () => {
    const { services } = imported(
      entity('Resource', 'MySQL'),
      entity('Component', 'mysql', '  dependsOn: ["Resource:mysql", "component:ops/mysql"]\n'),
      entity('Component', 'mysql', '', '  namespace: ops\n'),
      entity('Component', 'public-dns'),
    );
    expect(services).toEqual([
      'mysql.resource:',
      'mysql: mysql.resource ops.mysql',
      'ops.mysql:',
      'public-dns.component:',
    ]);
  });

  test('says what it could not map, with the place', () => {
    const { left } = imported(
      entity(
        'Component',
        'a',
        '  dependsOn: ["component:gone", b, "group:web", "x:y:z", 7, "component:a"]\n  owner: [x]\n',
      ),
      entity('Component', 'b'),
      entity('Resource', 'b', '  dependencyOf: ["system:s"]\n'),
      entity('System', 's'),
      entity('Group', 'web'),
      entity('Component', 'b'),
      'just: a mapping\n',
      'broken: [\n',
    );
    expect(left.map((line) => line.replace(/component:default\//, ''))).toEqual([
      '1 a: its `dependsOn` holds what is no reference to an entity',
      '1 a: its `dependsOn` holds what is no reference to an entity',
      '1 a: it depends on component:default/gone, which is not in these files',
      '1 a: it depends on default/b, which may be component:default/b or resource:default/b',
      '1 a: it depends on group:default/web, which is no service',
      '1 a: it depends on itself',
      '1 a: its `owner` is no reference to an entity',
      '17 resource:default/b: it is a dependency of system:default/s, which is no service of its own',
      '39 b: it is defined at c.yaml:10 already',
      '46 this is no entity of a catalog',
      expect.stringMatching(/^49 not valid YAML/),
    ]);
  });
});

test.each([
  ['brackets', '['.repeat(1_000_000), 'nested too deeply'],
  [
    'aliases',
    `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefg'.replace(/./g, (c) => `${c}: &${c} [${`*${String.fromCharCode(c.charCodeAt(0) - 1)},`.repeat(9)}]\n`)}`,
    'aliases cannot be followed',
  ],
  ['tags', 'a: !!js/function x', 'tags'],
  ['bytes that are no text', '\0\0', 'not text'],
  ['documents', '---\n'.repeat(60_000), 'documents'],
  ['megabytes', 'x'.repeat(5 << 20), '4 MiB'],
])('a hostile file of %s is refused, soon', (_, text, why) => {
  const start = performance.now();
  const { services, unmapped } = importBackstage([{ path: 'c', text }]);
  expect([services.length, unmapped[0]?.message]).toEqual([0, expect.stringContaining(why)]);
  expect(performance.now() - start).toBeLessThan(3000);
});

test('whatever is in a catalog, what is printed is a policy without a mistake', () => {
  const word = fc.oneof(
    fc.constantFrom('component', 'api', 'a', 'B', 'a/b', 'system:a', 'resource:b', '__proto__', '', ':', '/'),
    fc.string(),
  );
  const list = fc.oneof(fc.array(word, { maxLength: 3 }), word, fc.jsonValue());
  const one = fc.record(
    {
      apiVersion: fc.constant('backstage.io/v1alpha1'),
      kind: fc.constantFrom('Component', 'Resource', 'System', 'API', 'Group', '__proto__'),
      metadata: fc.record({
        name: fc.oneof(fc.constantFrom('a', 'b', 'A', 'null', '1'), word),
        namespace: fc.constantFrom('default', 'a'),
      }),
      spec: fc.dictionary(
        fc.constantFrom(
          'dependsOn',
          'dependencyOf',
          'consumesApis',
          'providesApis',
          'system',
          'owner',
          '__proto__',
        ),
        list,
      ),
    },
    { requiredKeys: ['apiVersion'] },
  );
  fc.assert(
    fc.property(fc.array(one, { maxLength: 8 }), fc.string(), (entities, noise) => {
      const text = entities.map((each) => JSON.stringify(each)).join('\n---\n');
      const files = [
        { path: 'c', text },
        { path: 'd', text: noise },
      ];
      const { problems } = parsePolicy([{ path: 's', text: servicesText(importBackstage(files)) }]);
      expect(problems).toEqual([]);
    }),
    { numRuns: 1000 },
  );
});
