import { resolve } from 'node:path';
import type { Attachment } from '../daemon/answers.ts';
import { Client } from '../daemon/client.ts';
import type { CreateAttachmentBody } from '../daemon/contract.ts';
import type { Target } from '../guard/target.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import type { AttachOptions } from './attach-options.ts';
import { createOutput, Failure } from './output.ts';

/** What only an attach in the foreground does: each as it was given. */
export function foregroundOnly(options: AttachOptions): string[] {
  const given: [string, boolean][] = [
    ['--service', options.service !== null],
    ['-p', options.policy !== null],
    ['--for', options.forMs !== null],
    ['--report', options.report !== null],
    ['--label', Object.keys(options.labels).length > 0],
    ['--state', options.state !== null],
    ['--no-syscalls', !options.syscalls],
  ];
  return given.flatMap(([option, is]) => (is ? [option] : []));
}

/** Has the daemon attach, which goes on until it is detached; gives the exit status. */
export async function attachThroughDaemon(options: AttachOptions, socket: string): Promise<number> {
  const { target, deployment, mode } = options;
  const body: CreateAttachmentBody = { target: targetOf(target), deployment, mode };
  const made = await new Client(socket).request<Attachment>('POST', '/v1/attachments', { body });
  const name = made.deployment === null ? '' : ` ${made.deployment}`;
  const by = made.policy === null ? 'no policy' : `policy ${made.policy}`;
  createOutput(options).say(
    'info',
    [
      `acyclic: attached${name} · ${made.mode} · ${by} · attach ${made.id}`,
      `in ${made.cgroup}`,
      ...made.established.map((one) => `left alone  ${one}`),
      `until: acyclic detach ${made.id}`,
    ],
    { kind: 'opening', ...made },
  );
  return 0;
}

/** Attachments of the daemon that are meant, taken off. Empty: it has none of that name. Throws Failure for several. */
export async function detachThroughDaemon(
  { id, target }: { readonly id: string | undefined; readonly target: Target | null },
  socket: string,
): Promise<Attachment[]> {
  const client = new Client(socket);
  const all = await client.request<Attachment[]>('GET', '/v1/attachments');
  const prefix = id?.toUpperCase();
  const named = target && nameOf(targetOf(target));
  const meant = all.filter((one) =>
    prefix === undefined ? one.target === named : prefix !== '' && one.id.startsWith(prefix),
  );
  if (prefix !== undefined && meant.length > 1)
    throw new Failure('usage', `${meant.length} attaches of the daemon begin with ${id}`, 'give more of it');
  for (const one of meant) await client.request('DELETE', `/v1/attachments/${one.id}`);
  return meant;
}

function nameOf(target: CreateAttachmentBody['target']): string {
  switch (target.kind) {
    case 'cgroup':
      return `cgroup:${target.path}`;
    case 'pid':
      return `pid:${target.pid}`;
    case 'unit':
      return `unit:${target.unit}`;
    case 'container':
      return `container:${target.id}`;
  }
}

function targetOf({ by, text }: Target): CreateAttachmentBody['target'] {
  switch (by) {
    case 'pid':
      return { kind: 'pid', pid: Number(text) };
    case 'unit':
      return { kind: 'unit', unit: text };
    case 'container':
      return { kind: 'container', id: text };
    case 'cgroup':
      return { kind: 'cgroup', path: fromRoot(text) };
  }
}

/** A path of the file system, or one from the root of the tree, as the latter. */
function fromRoot(text: string): string {
  const root = findCgroup2();
  const path = resolve('/', text);
  return path.startsWith(`${root}/`) ? path.slice(root.length) : path;
}
