/** The first descriptor systemd passes (sd_listen_fds(3)). */
const FIRST = 3;
const MOST = 64;

/**
 * Sockets that systemd holds for this process, by FileDescriptorName; those without a name go by `unknown`. They are
 * told of once: the variables are taken out of `env`, so that no child takes them for its own.
 */
export function activatedSockets(
  env: Record<string, string | undefined> = process.env,
): ReadonlyMap<string, readonly number[]> {
  const { LISTEN_PID: pid, LISTEN_FDS: count = '', LISTEN_FDNAMES: names = '' } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  const sockets = new Map<string, number[]>();
  if (pid !== `${process.pid}` || !/^\d{1,4}$/.test(count)) return sockets;
  const given = names.split(':');
  for (let index = 0; index < Math.min(Number(count), MOST); index++) {
    const name = given[index] || 'unknown';
    sockets.set(name, [...(sockets.get(name) ?? []), FIRST + index]);
  }
  return sockets;
}
