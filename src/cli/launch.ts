/**
 * What `bin/acyclic` recorded before Node changed it, so that the command finds everything as without Acyclic.
 * The launcher puts it into one variable, `ACYCLIC_LAUNCH`:
 * `pid=<own>;sigign=<hex of SigIgn in /proc/self/status>;nofile=<ulimit -Sn>;fds=<open descriptors>;environ=<base64
 * of /proc/self/environ>`,
 * and moves each variable that would steer Acyclic's own Node to `ACYCLIC_ENV_<NAME>`.
 */
const LAUNCH = 'ACYCLIC_LAUNCH';
const MOVED = 'ACYCLIC_ENV_';

/** Environment as Node gives it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Process state the command is to start with. */
export interface LaunchState {
  /** Signals to ignore, as SigIgn in /proc/self/status: bit n is signal n + 1. 0 when not recorded. */
  readonly ignoredSignals: bigint;
  /** Soft limit of open files; -1 when not recorded: leave it. */
  readonly nofileSoft: number;
  /** Descriptors to inherit; standard ones when not recorded. */
  readonly fds: readonly number[];
}

/** The state the launcher was started in; neutral where it recorded nothing that can be read. */
export function launchState(env: Environment): LaunchState {
  const sigign = field(env, 'sigign');
  const nofile = field(env, 'nofile');
  const fds = field(env, 'fds');
  return {
    ignoredSignals: /^[0-9a-f]{1,16}$/i.test(sigign) ? BigInt(`0x${sigign}`) : 0n,
    nofileSoft: /^\d{1,10}$/.test(nofile) ? Number(nofile) : -1,
    fds: /^\d{1,9}(,\d{1,9})*$/.test(fds) ? fds.split(',').map(Number) : [0, 1, 2],
  };
}

/**
 * The environment for the command, as `NAME=value`: exactly the launcher's own, in its order, where that was
 * recorded for this process `pid`; otherwise ours with the moved variables put back. Nothing of the launcher's
 * is in it.
 */
export function commandEnvironment(env: Environment, pid: number = process.pid): string[] {
  const own = field(env, 'pid') === String(pid);
  const recorded = own ? Buffer.from(field(env, 'environ'), 'base64').toString('utf8') : '';
  if (recorded !== '') return recorded.split('\0').filter((entry) => entry !== '' && !isOurs(entry));
  const entries: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || name === LAUNCH) continue;
    entries.push(`${name.startsWith(MOVED) ? name.slice(MOVED.length) : name}=${value}`);
  }
  return entries;
}

function field(env: Environment, name: string): string {
  const part = (env[LAUNCH] ?? '').split(';').find((entry) => entry.startsWith(`${name}=`));
  return part?.slice(name.length + 1) ?? '';
}

function isOurs(entry: string): boolean {
  return entry.startsWith(`${LAUNCH}=`) || entry.startsWith(MOVED);
}
