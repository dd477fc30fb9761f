import { describe, expect, it } from 'vitest';
import type { AuditEvent } from '../model/event.ts';
import type { ProcessImage } from '../model/process.ts';
import { type DenialView, formatDenial, formatRepeats, shellQuote, trim } from './message.ts';

function image(pid: number, exe: string, argv: string[]): ProcessImage {
  return { pid, start: null, uid: 0, comm: exe.slice(exe.lastIndexOf('/') + 1), exe, argv };
}

const deploy = image(4200, '/bin/bash', ['bash', 'deploy.sh']);
const fetchTools = image(4230, '/usr/bin/dash', ['/bin/sh', '-e', './bin/fetch-tools.sh', '--all']);
const curl = image(4242, '/usr/bin/curl', ['curl', '-fsSL', 'https://github.com/a?b=1']);

const event: AuditEvent = {
  v: 1,
  id: '01JEVENT',
  time: '2026-11-23T03:20:33.123456789Z',
  host: 'db-1',
  run: '01JRUN',
  deployment: 'mysql',
  policy: '3f9c2a1',
  count: 1,
  kind: 'connect',
  destination: { address: '192.0.2.7', port: 443, protocol: 'tcp', names: ['github.com'], service: 'github' },
  process: { ...curl, ancestry: [deploy] },
  verdict: 'deny',
  rule: null,
  dependency: null,
  outcome: null,
  hook: 'cgroup/connect4',
};

const view: DenialView = {
  event,
  rule: {
    kind: 'circular',
    source: 'acyclic.yaml:14',
    id: null,
    service: 'github',
    reason: null,
    owner: '@db-platform',
    instead: null,
  },
  cycle: ['mysql', 'github', 'mysql'],
  dependency: { kind: 'direct', evidence: 'deploy.sh:12', path: ['mysql', 'github', 'mysql'] },
  saw: 'connect() = EPERM',
  lineage: [deploy, fetchTools, curl],
  instead: 'use mirror.internal/tools',
  repeats: 0,
  more: 'acyclic audit show 01JEVENT',
};

function withDestination(
  destination: Partial<NonNullable<AuditEvent['destination']>>,
  rest: Partial<AuditEvent> = {},
) {
  const whole = { address: null, port: null, protocol: null, names: [], service: null, ...destination };
  return formatDenial({ ...view, event: { ...event, destination: whole, ...rest } })[0];
}

describe('formatDenial', () => {
  it('says everything about a denied connection, to the letter of the design', () => {
    expect(formatDenial(view)).toEqual([
      'acyclic: denied curl[4242] → github.com:443/tcp (192.0.2.7)',
      '  cycle    mysql → github → mysql          direct: named at deploy.sh:12',
      '  rule     circular (acyclic.yaml:14, service github)   owner @db-platform',
      "  process  deploy.sh[4200] → fetch-tools.sh[4230] → curl[4242]: curl -fsSL 'https://github.com/a?b=1'",
      '  saw      connect() = EPERM',
      '  instead  use mirror.internal/tools',
      '  more     acyclic audit show 01JEVENT',
    ]);
  });

  it('leaves out every line that has nothing to say', () => {
    const rule = { ...view.rule, kind: 'default', source: null, service: null, owner: null } as const;
    const bare = { ...view, rule, cycle: null, dependency: null, lineage: [], instead: null, more: null };
    expect(formatDenial({ ...bare, event: { ...event, process: null } })).toEqual([
      'acyclic: denied an unknown process → github.com:443/tcp (192.0.2.7)',
      '  rule     default',
      '  saw      connect() = EPERM',
    ]);
  });

  it.each([
    [{ names: ['github.com'], port: 53, protocol: 'udp' }, { kind: 'dns' }, 'curl[4242] → github.com (dns)'],
    [{ address: '2001:db8::1', port: 443, protocol: 'tcp' }, {}, 'curl[4242] → [2001:db8::1]:443/tcp'],
    [{ address: '192.0.2.7', port: 0, protocol: 'icmp' }, {}, 'curl[4242] → 192.0.2.7/icmp'],
    [{ address: '2001:db8::1' }, {}, 'curl[4242] → 2001:db8::1'],
    [{}, {}, 'curl[4242] → an unknown destination'],
  ] as const)('writes the destination %j as people do', (destination, rest, expected) => {
    expect(
      withDestination({ ...destination, names: 'names' in destination ? destination.names : [] }, rest),
    ).toBe(`acyclic: denied ${expected}`);
  });

  it('says would deny for what went through', () => {
    expect(formatDenial({ ...view, event: { ...event, verdict: 'would-deny' } })[0]).toMatch(
      /^acyclic: would deny curl/,
    );
  });

  it('names a rule by its id, its reason and its own way out', () => {
    const rule = {
      ...view.rule,
      kind: 'deny',
      id: 'no-telemetry',
      service: null,
      reason: 'never needed',
      instead: 'nothing',
    } as const;
    const lines = formatDenial({ ...view, rule, cycle: null, instead: null });
    expect(lines).toContain('  rule     deny no-telemetry (acyclic.yaml:14)   owner @db-platform');
    expect(lines).toContain('  reason   never needed');
    expect(lines).toContain('  instead  nothing');
  });

  it.each([
    [{ kind: 'hidden', evidence: null, path: [] }, 'hidden'],
    [
      { kind: 'hidden', evidence: 'ctl (package ctl): d.sh → ctl', path: [] },
      'hidden: ctl (package ctl): d.sh → ctl',
    ],
    [{ kind: 'direct', evidence: 'argv of curl[7]', path: [] }, 'direct: named in argv of curl[7]'],
    [
      { kind: 'transient', evidence: null, path: ['mysql', 'migrations', 'github', 'mysql'] },
      'transient: through migrations',
    ],
    [{ kind: 'transient', evidence: 'seen on db-2', path: [] }, 'transient: seen on db-2'],
  ] as const)('tells a %j dependency apart', (dependency, expected) => {
    expect(formatDenial({ ...view, dependency })[1]).toBe(
      `  cycle    mysql → github → mysql          ${expected}`,
    );
  });

  it('counts a process that ran another program once, and adds the caller when the lineage stops before it', () => {
    const before = image(4242, '/usr/bin/env', ['env', 'curl']);
    expect(formatDenial({ ...view, lineage: [deploy, before] })[3]).toMatch(
      /^ {2}process {2}deploy\.sh\[4200\] → curl\[4242\]: curl /,
    );
  });

  it('shortens a long lineage in the middle and a long line at its end', () => {
    const many = Array.from({ length: 30 }, (_, n) => image(n + 1, '/usr/bin/make', ['make']));
    const argv = ['curl', 'x'.repeat(5000)];
    const line = formatDenial(
      { ...view, event: { ...event, process: { ...curl, argv, ancestry: [] } }, lineage: many },
      120,
    )[3];
    expect(line).toMatch(
      /^ {2}process {2}make\[1\] → make\[2\] → … → make\[28\] → make\[29\] → make\[30\] → curl\[4242\]: curl x+…$/,
    );
    expect(line).toHaveLength(120);
  });

  it('keeps the name of an interpreter that runs no file', () => {
    const inline = image(7, '/bin/bash', ['bash', '-c', 'exec 3<>/dev/tcp/github.com/443']);
    expect(
      formatDenial({ ...view, event: { ...event, process: { ...inline, ancestry: [] } }, lineage: [] })[0],
    ).toMatch(/denied bash\[7\] → /);
  });
});

describe('formatRepeats', () => {
  it('is one line with a count', () => {
    expect(formatRepeats({ ...view, repeats: 17 })).toBe(
      'acyclic: denied curl → github.com:443/tcp ×17 more',
    );
  });
});

describe('shellQuote', () => {
  it.each([
    ['plain-1.0/x', 'plain-1.0/x'],
    ['', "''"],
    ['a b', "'a b'"],
    ["it's", "'it'\\''s'"],
    ['$(reboot)', "'$(reboot)'"],
  ])('writes %j as %j', (argument, expected) => {
    expect(shellQuote(argument)).toBe(expected);
  });
});

describe('trim', () => {
  it('never cuts a character in two', () => {
    expect(trim('ab😀cd', 4)).toBe('ab…');
    expect(trim('abcd', 4)).toBe('abcd');
  });
});
