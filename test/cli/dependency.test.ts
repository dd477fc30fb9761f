import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEvent } from '../../src/model/event.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import { CASES, type DependencyCase } from './dependency-cases.ts';
import { acyclic, remains } from './harness.ts';

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com, "*.github.com"], addresses: [192.0.2.0/24, "2001:db8:9::/48"], depends_on: [mysql] }
  migrations: { hosts: ["*.internal"], depends_on: [github] }
  mirror: { hosts: ["*.mirror.internal", apt.internal] }
deployments:
  mysql: { default: allow, allow: [{ service: mirror }] }
`;
const APT = `Dir::Etc::SourceParts "-"; Dir::State "DIR/apt"; Dir::State::Lists "DIR/apt/lists";
Dir::State::Status "DIR/apt/status"; Dir::Cache "DIR/apt/cache"; APT::Sandbox::User "root"; Acquire::Retries "0";
`;

let lab: Lab;
let deploy: string;
let events: AuditEvent[];
beforeAll(async () => {
  lab = await startLab({ hosts: { 'alias.example': ['api.github.com'] } });
  deploy = path.join(lab.dir, 'deploy');
  const write = async (name: string, text: string) => {
    const file = name.startsWith('~') ? name.replace('~', lab.client.home) : path.join(deploy, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text, { mode: 0o755 });
  };
  for (const { files } of CASES)
    for (const [name, text] of Object.entries(files ?? {})) await write(name, text);
  await write('policy.yaml', POLICY);
  await write('apt/status', '');
  await mkdir(path.join(deploy, 'apt/cache/archives/partial'), { recursive: true });
  await mkdir(path.join(deploy, 'apt/lists/partial'), { recursive: true });
  await write('apt.conf', APT.replaceAll('DIR', deploy));
  await write(
    'host/apt.conf',
    `${APT}Dir::Etc::SourceList "DIR/host/sources.list";\n`.replaceAll('DIR', deploy),
  );
  await write(
    'deploy.sh',
    `#!/bin/bash\n${CASES.map(({ what, script }) => `# ${what}\n${script}\n`).join('\n')}`,
  );
  const run = ['run', '--quiet', '-p', 'policy.yaml', '--report', 'report.jsonl', '--', './deploy.sh'];
  await lab.client.run([acyclic, ...run, 'c-argument.github.com'], {
    cwd: deploy,
    timeoutMs: 55_000,
    env: {
      PATH: `${path.join(deploy, 'bin')}:${lab.client.env.PATH}`,
      APT_CONFIG: path.join(deploy, 'apt.conf'),
      FROM_OUTSIDE: 'c-outside.github.com',
      GIT_TERMINAL_PROMPT: '0',
      GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o StrictHostKeyChecking=no',
    },
  });
  events = (await readFile(path.join(deploy, 'report.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
});
afterAll(async () => {
  await lab?.stop();
  expect(remains()).toEqual([]);
});

function eventsFor(host: string): AuditEvent[] {
  return events.filter(({ destination }) => destination?.names[0] === host || destination?.address === host);
}

/** What the table says of evidence, in full. */
async function expected({ evidence, host = '' }: DependencyCase): Promise<unknown> {
  const [, file, needle = host] = /^([\w./-]+\.\w+|app\/Makefile)(?::(.+))?$/.exec(evidence) ?? [];
  if (file !== undefined) {
    const lines = (await readFile(path.join(deploy, file), 'utf8')).split('\n');
    const line = lines.findIndex((text) => text.includes(needle) && !text.trimStart().startsWith('#'));
    expect(line, `${needle} in ${file}`).toBeGreaterThanOrEqual(0);
    return `${file}:${line + 1}`;
  }
  if (evidence.startsWith('argv of ')) return expect.stringMatching(new RegExp(`^${evidence}\\[\\d+\\]$`));
  const pattern = evidence
    .replace('~', lab.client.home)
    .split('*')
    .map((part) => part.replace(/[()[\].]/g, '\\$&'));
  return expect.stringMatching(new RegExp(`^${pattern.join('.*')}$`));
}

describe('each call has its kind and its evidence', () => {
  test.each(CASES.map((one) => [one.kind, one.what, one] as const))('%s: %s', async (kind, _, one) => {
    const found = eventsFor(one.host ?? '');
    expect(found.length, 'it was called').toBeGreaterThan(0);
    const path =
      kind === 'transient' ? ['mysql', 'migrations', 'github', 'mysql'] : ['mysql', 'github', 'mysql'];
    const dependency = { kind, evidence: await expected(one), path };
    for (const event of found) expect(event).toMatchObject({ verdict: 'deny', dependency });
  });
});
