import { readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { SetupFailure } from '../kernel/failure.ts';
import { type ClosedSocket, hasUnixConnect, isAddress } from '../kernel/unix-connect.ts';
import type { DelegateName } from '../model/delegate.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { delegateAt, socketsOf, spellings } from './delegates.ts';
import { readIfThere } from './readable.ts';

const OF_USERS = '/run/user';
const MOST_USERS = 1000;
/** Where in the directory of a logged-in user delegates of his own listen. */
const OF_USER: readonly string[] = [
  'bus',
  'systemd/private',
  'docker.sock',
  'podman/podman.sock',
  'containerd/containerd.sock',
];
/** A socket with a name: /proc/net/unix has it last, an abstract one's with `@` before it. */
const NAMED_SOCKET = /^[0-9a-f]+:(?: [0-9A-F]+){5} +\d+ ([/@].+)$/;
/** Who could make sockets by the thousand could fill the tables; what is beyond is closed when it is called. */
const MOST_FOUND = 128;

/** Delegates to which a run in enforce mode may hand no work. */
export function deniedDelegates({ mode, delegates }: CompiledPolicy): DelegateName[] {
  if (mode !== 'enforce') return [];
  return [...delegates].flatMap(([name, { answer }]) => (answer === 'deny' ? [name] : []));
}

/**
 * The sockets of denied delegates, with what who connects to one gets. Throws SetupFailure `delegate-open` where the
 * kernel can close none.
 */
export function delegateSockets(policy: CompiledPolicy): ClosedSocket[] {
  const denied = new Set<string>(deniedDelegates(policy));
  if (denied.size === 0) return [];
  if (!hasUnixConnect())
    throw new SetupFailure(
      'delegate-open',
      `work for ${[...denied].join(', ')} is denied by the policy, and this kernel cannot close UNIX sockets to a run`,
      'boot Linux 6.7 or newer, or make it `audit` under `delegate`',
    );
  const errno = constants.errno[policy.onDeny];
  const found = [...ofUsers(), ...bound()].filter((path) => denied.has(delegateAt(path)?.name ?? ''));
  const known = [...denied].flatMap(socketsOf);
  return [...new Set([...known, ...found.slice(0, MOST_FOUND).flatMap(spellings)])].map((path) => ({
    path,
    errno,
  }));
}

function ofUsers(): string[] {
  let users: string[] = [];
  try {
    users = readdirSync(OF_USERS).slice(0, MOST_USERS);
  } catch {
    // Nobody is logged in, or nobody keeps track of it.
  }
  return users.flatMap((user) => OF_USER.map((path) => `${OF_USERS}/${user}/${path}`));
}

/** Names of the sockets in this network namespace. */
function bound(): string[] {
  const lines = readIfThere('/proc/net/unix').split('\n');
  return lines.flatMap((line) => NAMED_SOCKET.exec(line)?.[1] ?? []).filter(isAddress);
}
