import { firstListening, nscdServesHosts } from './resolver-socket.ts';

/** A resolver on this host that glibc asks over a UNIX socket, so outside the run, where no hook sees the name. */
export interface OutsideResolver {
  readonly name: string;
  readonly remedy: string;
  /** It answers for any name. Others know names of this network or host only, which lead nowhere else. */
  readonly anyName: boolean;
}

interface Known extends OutsideResolver {
  /** The word in the `hosts:` line of nsswitch.conf(5); null: glibc asks it whatever stands there. */
  readonly module: RegExp | null;
  /** Where it listens. */
  readonly sockets: readonly string[];
}

const without = (word: string): string => `take \`${word}\` out of the \`hosts:\` line of /etc/nsswitch.conf`;

/**
 * Since version 247 nss-resolve asks by varlink alone; the D-Bus name org.freedesktop.resolve1 is for programs that
 * hand work to others on purpose. What systemd-resolved answers on 127.0.0.53 is port 53, and guarded like any.
 */
const KNOWN: readonly Known[] = [
  {
    module: null,
    name: 'nscd',
    sockets: ['/run/nscd/socket', '/var/run/nscd/socket'],
    remedy: 'stop nscd, or set `enable-cache hosts no` in nscd.conf and restart it',
    anyName: true,
  },
  {
    module: /^resolve$/,
    name: 'nss-resolve (systemd-resolved)',
    sockets: ['/run/systemd/resolve/io.systemd.Resolve'],
    remedy: `${without('resolve')}: \`dns\` asks the same resolver, and is guarded`,
    anyName: true,
  },
  {
    module: /^sss$/,
    name: 'sssd',
    sockets: ['/var/lib/sss/pipes/nss'],
    remedy: without('sss'),
    anyName: true,
  },
  {
    module: /^ldap$/,
    name: 'nslcd',
    sockets: ['/run/nslcd/socket', '/var/run/nslcd/socket'],
    remedy: without('ldap'),
    anyName: true,
  },
  {
    module: /^mdns[46]?(_minimal)?$/,
    name: 'avahi (mdns)',
    sockets: ['/run/avahi-daemon/socket', '/var/run/avahi-daemon/socket'],
    remedy: without('mdns4_minimal'),
    anyName: false,
  },
  {
    module: /^mymachines$/,
    name: 'systemd-machined',
    sockets: ['/run/systemd/machine/io.systemd.Machine', '/run/dbus/system_bus_socket'],
    remedy: without('mymachines'),
    anyName: false,
  },
];

/**
 * Who would answer the run's lookups from outside, by what nsswitch.conf(5) says and who listens; those that answer
 * for any name first. A socket nobody listens on answers nobody. Null: nobody would.
 */
export async function outsideResolver(nsswitch: string): Promise<OutsideResolver | null> {
  const modules = hostsModules(nsswitch);
  for (const known of KNOWN) {
    const { module, sockets } = known;
    if (module !== null && !modules.some((word) => module.test(word))) continue;
    const socket = await firstListening(sockets);
    if (socket === null || (module === null && !(await nscdServesHosts(socket)))) continue;
    return known;
  }
  return null;
}

/** The modules of every `hosts:` line, without what is in brackets: an action, `[!UNAVAIL=return]`, is no module. */
export function hostsModules(nsswitch: string): string[] {
  const lines = nsswitch.replace(/#.*/g, '').matchAll(/^[ \t]*hosts[ \t]*:(.*)$/gm);
  return [...lines].flatMap(([, text = '']) =>
    text
      .replace(/\[[^\]]*\]/g, ' ')
      .split(/\s+/)
      .filter(Boolean),
  );
}
