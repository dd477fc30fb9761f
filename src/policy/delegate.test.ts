import { expect, test } from 'vitest';
import { DELEGATES, type DelegateName } from '../model/delegate.ts';
import { compile } from './compile.ts';
import { evaluate } from './evaluate.ts';
import { parsePolicy } from './parse.ts';

function compiled(delegate: string | null) {
  const text = `version: 1
services: { s: { hosts: [s.c] } }
deployments:
  s:
    default: allow
    delegate: ${delegate}`;
  const { policy, problems } = parsePolicy([{ path: 'a.yaml', text }]);
  expect(problems).toEqual([]);
  const options = {
    deployment: 's',
    allow: [],
    deny: [],
    default: null,
    mode: null,
    ownAddresses: ['10.0.0.5'],
  };
  return compile(delegate === null ? null : policy, { ...options, now: new Date(0) });
}

test('work for delegates is audited where nothing is said, an agent’s is allowed, and without a policy all is', () => {
  const answers = (policy: ReturnType<typeof compiled>) =>
    Object.fromEntries([...policy.delegates].map(([name, { answer }]) => [name, answer]));
  const names = Object.keys(DELEGATES) as DelegateName[];
  expect(answers(compiled('{}'))).toEqual({
    ...Object.fromEntries(names.map((name) => [name, 'audit'])),
    'ssh-agent': 'allow',
  });
  const text = 'version: 1\nservices: {}';
  expect(parsePolicy([{ path: 'a', text }]).problems).toEqual([]);
  const observed = compile(null, {
    ...{ deployment: null, allow: [], deny: [], default: null, mode: null, ownAddresses: [] },
    now: new Date(0),
  });
  expect(new Set([...observed.delegates.values()].map(({ answer }) => answer))).toEqual(new Set(['allow']));
});

test('what is said has its line and its kind', () => {
  const { delegates } = compiled('{ docker: deny, containerd: allow }');
  expect(delegates.get('docker')).toMatchObject({
    answer: 'deny',
    rule: {
      kind: 'deny',
      source: 'a.yaml:6',
      reason: 'docker runs containers, outside the run: delegate.docker is deny',
    },
  });
  expect(delegates.get('containerd')).toMatchObject({ answer: 'allow', rule: { kind: 'allow' } });
  expect(delegates.get('podman')).toMatchObject({
    answer: 'audit',
    rule: { kind: 'default', source: null, reason: expect.stringContaining('is not guarded') },
  });
});

test('systemd is asked over the bus too, which is closed with it', () => {
  const { delegates } = compiled('{ systemd: deny }');
  expect(delegates.get('dbus')).toMatchObject({
    answer: 'deny',
    rule: { kind: 'deny', source: 'a.yaml:6', reason: expect.stringContaining('delegate.systemd') },
  });
  expect(compiled('{ dbus: deny }').delegates.get('systemd')?.answer).toBe('audit');
});

test('sshd takes its work by TCP on this host', () => {
  const at = (delegate: string, address: string, port: number) =>
    evaluate(compiled(delegate), { address, names: [], protocol: 'tcp', port });
  for (const address of ['127.0.0.1', '127.0.1.1', '::1', '10.0.0.5']) {
    expect(at('{ sshd: deny }', address, 22)).toMatchObject({
      answer: 'deny',
      rule: { kind: 'deny', reason: 'sshd runs commands, outside the run: delegate.sshd is deny' },
    });
    expect(at('{ sshd: deny }', address, 23).answer).toBe('allow');
    expect(at('{ sshd: audit }', address, 22).answer).toBe('audit');
    expect(at('{ sshd: allow }', address, 22).answer).toBe('allow');
    expect(at('{}', address, 22).answer).toBe('allow');
  }
  expect(at('{ sshd: deny }', '10.0.0.6', 22).answer).toBe('allow');
});
