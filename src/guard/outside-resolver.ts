import { constants } from 'node:os';
import { SetupFailure } from '../kernel/failure.ts';
import { type ClosedSocket, hasUnixConnect } from '../kernel/unix-connect.ts';
import { socketsOf } from './delegates.ts';
import { fallsBackToDns, hostsModules } from './nsswitch.ts';
import { firstListening, nscdServesHosts } from './resolver-socket.ts';

/** A resolver on this host that glibc asks over a UNIX socket, so outside the run, where no hook sees the name. */
export interface OutsideResolver {
  readonly name: string;
  readonly remedy: string;
  /** It answers for any name. Others know names of this network or host only, which lead nowhere else. */
  readonly anyName: boolean;
  /**
   * Whether it may be closed to a run, which then resolves by itself: nothing else is lost by that. Where it may, the
   * kernel may still not be able to.
   */
  readonly closable: boolean;
  /** Where it listens. */
  readonly sockets: readonly string[];
}

interface Known extends Omit<OutsideResolver, 'closable'> {
  /** The word in the `hosts:` line of nsswitch.conf(5); null: glibc asks it whatever stands there. */
  readonly module: RegExp | null;
  /** Its sockets answer for users, groups or logins too, by modules that ask nobody else. */
  readonly usersToo: boolean;
}

const without = (word: string): string => `take \`${word}\` out of the \`hosts:\` line of /etc/nsswitch.conf`;

/**
 * Since version 247 nss-resolve asks by varlink alone; the D-Bus name org.freedesktop.resolve1 is for programs that
 * hand work to others on purpose. What systemd-resolved answers on 127.0.0.53 is port 53, and guarded like any. nscd
 * caches users too, but who cannot reach it looks them up by itself.
 */
const KNOWN: readonly Known[] = [
  {
    module: null,
    name: 'nscd',
    sockets: socketsOf('nscd'),
    remedy: 'stop nscd, or set `enable-cache hosts no` in nscd.conf and restart it',
    anyName: true,
    usersToo: false,
  },
  {
    module: /^resolve$/,
    name: 'nss-resolve (systemd-resolved)',
    sockets: socketsOf('resolved'),
    remedy: `${without('resolve')}, with \`dns\` in its place: it asks the same resolver, and is guarded`,
    anyName: true,
    usersToo: false,
  },
  {
    module: /^sss$/,
    name: 'sssd',
    sockets: socketsOf('sssd'),
    remedy: without('sss'),
    anyName: true,
    usersToo: true,
  },
  {
    module: /^ldap$/,
    name: 'nslcd',
    sockets: socketsOf('nslcd'),
    remedy: without('ldap'),
    anyName: true,
    usersToo: true,
  },
  {
    module: /^mdns[46]?(_minimal)?$/,
    name: 'avahi (mdns)',
    sockets: socketsOf('avahi'),
    remedy: without('mdns4_minimal'),
    anyName: false,
    usersToo: false,
  },
  {
    module: /^mymachines$/,
    name: 'systemd-machined',
    sockets: [...socketsOf('machined'), ...socketsOf('dbus')],
    remedy: without('mymachines'),
    anyName: false,
    usersToo: false,
  },
];

/**
 * Who would answer a run's lookups from outside, by what nsswitch.conf(5) says and who listens. A socket nobody listens
 * on answers nobody.
 */
export async function outsideResolvers(nsswitch: string): Promise<OutsideResolver[]> {
  const modules = hostsModules(nsswitch);
  const found: OutsideResolver[] = [];
  for (const known of KNOWN) {
    const { module, sockets, usersToo } = known;
    if (module !== null && !modules.some((word) => module.test(word))) continue;
    const socket = await firstListening(sockets);
    if (socket === null || (module === null && !(await nscdServesHosts(socket)))) continue;
    found.push({ ...known, closable: !usersToo && (module === null || fallsBackToDns(nsswitch, module)) });
  }
  return found;
}

/**
 * The sockets to close to a run in enforce mode, so that it resolves names itself. Names asked outside would be unknown
 * here, and their addresses wrongly judged: where one cannot be closed this throws SetupFailure `outside-resolver`.
 */
export async function socketsToClose(nsswitch: string): Promise<ClosedSocket[]> {
  const asked = (await outsideResolvers(nsswitch)).filter(({ anyName }) => anyName);
  if (asked.length === 0) return [];
  const able = hasUnixConnect();
  const open = asked.find(({ closable }) => !(closable && able));
  if (open)
    throw new SetupFailure(
      'outside-resolver',
      `${open.name} would answer the run's lookups from outside, where they cannot be guarded`,
      open.remedy,
    );
  // As if nobody listened, so that the asker goes on to the next source.
  const errno = constants.errno.ECONNREFUSED;
  return asked.flatMap(({ sockets }) => sockets.map((path) => ({ path, errno })));
}
