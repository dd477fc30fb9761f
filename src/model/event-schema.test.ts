import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { eventsJsonSchema, inStep, reportLine } from './event-schema.ts';

const event = {
  ...{ v: 1, id: '01J00000000000000000000001', time: '2026-11-23T03:20:33.123456789Z', host: 'db-1' },
  ...{ run: '01J00000000000000000000000', deployment: 'mysql', policy: '3f9c2a1', count: 1, kind: 'connect' },
  destination: { address: '192.0.2.7', port: 443, protocol: 'tcp', names: ['github.com'], service: 'github' },
  process: {
    ...{ pid: 4242, start: '2026-11-23T03:20:33.100000000Z', uid: 0, comm: 'curl', exe: '/usr/bin/curl' },
    argv: ['curl', '-fsSL', 'https://github.com/'],
    ancestry: [{ pid: 4200, start: null, uid: 0, comm: 'bash', exe: '/bin/bash', argv: null }],
  },
  verdict: 'deny',
  rule: { source: 'acyclic.yaml:14', kind: 'circular', reason: null, owner: '@db-platform' },
  dependency: { kind: 'direct', evidence: 'deploy.sh:12', path: ['mysql', 'github', 'mysql'] },
  ...{
    outcome: { errno: 'EPERM', duration_us: 3, result: null, bytes_sent: null, bytes_received: null },
    hook: 'cgroup/connect4',
  },
};

test('docs/events.schema.json is what event-schema.ts says; regenerate: npx vitest run src/model/event-schema.test.ts -u', async () => {
  expect(inStep).toEqual([true, true]);
  const text = `${JSON.stringify(eventsJsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../docs/events.schema.json');
});

describe('one line of a report', () => {
  const published = z.fromJSONSchema(eventsJsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);
  const added = { ...event, destination: { ...event.destination, asn: 64500 } };

  test('is what the design shows', () => {
    expect(reportLine.parse(event)).toEqual(event);
    expect(published.parse(event)).toEqual(event);
  });

  test('may have fields the reader does not know, and none that are not described', () => {
    expect(published.safeParse(added).success).toBe(true);
    expect(reportLine.safeParse(added).success).toBe(false);
  });

  test.each([
    ['a time without nanoseconds', { time: '2026-11-23T03:20:33Z' }],
    ['a field that is left out', { verdict: undefined }],
    ['a count of none', { count: 0 }],
    ['another version', { v: 2 }],
    ['a port that is none', { destination: { ...event.destination, port: 65536 } }],
  ])('is not one with %s', (_, change) => {
    const wrong = JSON.parse(JSON.stringify({ ...event, ...change }));
    expect(reportLine.safeParse(wrong).success).toBe(false);
    expect(published.safeParse(wrong).success).toBe(false);
  });
});

const page = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8');

/** What a JSON Schema describes: names of its properties, dotted; items of a list go by the list's name. */
function properties(schema: object, prefix = ''): string[] {
  const {
    properties: own = {},
    anyOf = [],
    items,
  } = schema as {
    properties?: Record<string, object>;
    anyOf?: object[];
    items?: object;
  };
  return [
    ...anyOf.flatMap((one) => properties(one, prefix)),
    ...(items ? properties(items, prefix) : []),
    ...Object.entries(own).flatMap(([name, inner]) => [
      prefix + name,
      ...properties(inner, `${prefix}${name}.`),
    ]),
  ];
}

test('docs/events.md explains every field of the schema', () => {
  const fields = new Set(properties(eventsJsonSchema()));
  expect(fields.size).toBeGreaterThan(50);
  const told = (field: string) => {
    const last = field.slice(field.lastIndexOf('.') + 1);
    if (field.startsWith('process.ancestry.')) return page.includes(`\`process.${last}\``);
    if (field.startsWith('staged.rule.')) return page.includes(`\`rule.${last}\``);
    const listed = /^(waiting|exit|leftover|listener|staged|traffic)\./.test(field);
    return page.includes(`\`${listed ? last : field}\``);
  };
  expect([...fields].filter((field) => !told(field))).toEqual([]);
});

test('docs/events.md explains every kind; its example is an event', () => {
  const { anyOf } = eventsJsonSchema() as { anyOf: { properties: { kind: { enum?: string[] } } }[] };
  for (const kind of anyOf[0]?.properties.kind.enum ?? []) expect(page).toContain(`| \`${kind}\` |`);
  const [, example = ''] = /```json\n([^`]*)```/.exec(page) ?? [];
  expect(reportLine.parse(JSON.parse(example))).toMatchObject({ v: 1 });
});
