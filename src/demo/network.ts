import { addressFamily } from '../model/address.ts';
import { enter, type Namespace } from './namespace.ts';

/** What the sandbox's network looks like from the client: one wire to a world that is not the real one. */
export interface NetworkPlan {
  /** Addresses the world's servers listen on, both families. */
  readonly addresses: readonly string[];
  /** Addresses whose packets vanish without an answer. */
  readonly blackholes: readonly string[];
  /** Prefixes the client has no route to: connecting fails at once. */
  readonly unreachable: readonly string[];
}

/** The two ends of the wire. */
const CLIENT_ADDRESSES = ['10.86.255.2', '2001:db8:86:ffff::2'] as const;
const WORLD_ADDRESSES = ['10.86.255.1', '2001:db8:86:ffff::1'] as const;

/** One `ip` process for a list of commands; the first that fails fails them all. */
async function ip(namespace: Namespace, family: '-4' | '-6', commands: readonly string[]): Promise<void> {
  await enter(namespace, ['ip', family, '-batch', '-'], `${commands.join('\n')}\n`);
}

function ofFamily(list: readonly string[], family: 4 | 6): string[] {
  return list.filter((entry) => addressFamily(entry) === family);
}

// No forwarding (a new namespace inherits the host's setting), and no duplicate address detection, which would
// keep addresses unusable for a second.
const KERNEL_SETTINGS = `set -e
echo 0 > /proc/sys/net/ipv4/ip_forward
cd /proc/sys/net/ipv6/conf
for name in all default; do echo 0 > $name/disable_ipv6; echo 0 > $name/forwarding; echo 0 > $name/accept_dad; done`;

/**
 * Wires two fresh namespaces to each other and to nothing else. The world answers for every address there is:
 * those it does not serve are refused at once, so that nothing a client does can hang or leave.
 */
export async function connectNamespaces(
  client: Namespace,
  world: Namespace,
  plan: NetworkPlan,
): Promise<void> {
  await Promise.all([client, world].map((namespace) => enter(namespace, ['sh', '-c', KERNEL_SETTINGS])));
  await ip(client, '-4', [
    'link set lo up',
    `link add eth0 type veth peer name eth0 netns ${world.pid}`,
    'link set eth0 up',
    `addr add ${CLIENT_ADDRESSES[0]}/30 dev eth0`,
  ]);
  await ip(world, '-4', [
    'link set lo up',
    'link set eth0 up',
    `addr add ${WORLD_ADDRESSES[0]}/30 dev eth0`,
    ...ofFamily(plan.addresses, 4).map((address) => `addr add ${address}/32 dev lo`),
    'route add local default dev lo table main',
    ...ofFamily(plan.blackholes, 4).map((address) => `route add blackhole ${address}`),
  ]);
  await ip(world, '-6', [
    `addr add ${WORLD_ADDRESSES[1]}/64 dev eth0 nodad`,
    ...ofFamily(plan.addresses, 6).map((address) => `addr add ${address}/128 dev lo nodad`),
    'route add local default dev lo table main',
    ...ofFamily(plan.blackholes, 6).map((address) => `route add blackhole ${address}`),
  ]);
  await ip(client, '-4', [
    `route add default via ${WORLD_ADDRESSES[0]}`,
    ...ofFamily(plan.unreachable, 4).map((prefix) => `route add unreachable ${prefix}`),
  ]);
  await ip(client, '-6', [
    `addr add ${CLIENT_ADDRESSES[1]}/64 dev eth0 nodad`,
    `route add default via ${WORLD_ADDRESSES[1]}`,
    ...ofFamily(plan.unreachable, 6).map((prefix) => `route add unreachable ${prefix}`),
  ]);
}
