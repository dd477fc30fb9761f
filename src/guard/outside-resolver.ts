/** A resolver on this host that glibc asks over a UNIX socket, so outside the run, where no hook sees the name. */
export interface OutsideResolver {
  readonly name: string;
  readonly remedy: string;
}

const RESOLVED = '/run/systemd/resolve/io.systemd.Resolve';
const NSCD = ['/run/nscd/socket', '/var/run/nscd/socket'];

/**
 * Who would answer the run's lookups from outside: nss-resolve where nsswitch.conf(5) names it, nscd wherever it
 * runs. `sockets` is the text of /proc/net/unix: a socket nobody listens on answers nobody. Null: nobody would.
 */
export function outsideResolver(nsswitch: string, sockets: string): OutsideResolver | null {
  const listening = new Set(sockets.split('\n').map((line) => line.split(/\s+/)[7]));
  const hosts = /^hosts:(.*)$/m.exec(nsswitch.replace(/#.*/g, ''))?.[1]?.split(/\s+/) ?? [];
  if (NSCD.some((path) => listening.has(path)))
    return { name: 'nscd', remedy: 'stop nscd, or set `enable-cache hosts no` in nscd.conf and restart it' };
  if (hosts.includes('resolve') && listening.has(RESOLVED))
    return {
      name: 'nss-resolve (systemd-resolved)',
      remedy:
        'take `resolve` out of the `hosts:` line of /etc/nsswitch.conf: `dns` asks the same resolver, and is guarded',
    };
  return null;
}
