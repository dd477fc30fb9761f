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

/** The state this process `pid` was started in; neutral where the launcher recorded nothing of it. */
export function launchState(env: Environment, pid: number = process.pid): LaunchState {
  const recorded = isRecordedFor(env, pid) ? env : {};
  const sigign = field(recorded, 'sigign');
  const nofile = field(recorded, 'nofile');
  const fds = field(recorded, 'fds');
  return {
    ignoredSignals: /^[0-9a-f]{1,16}$/i.test(sigign) ? BigInt(`0x${sigign}`) : 0n,
    nofileSoft: /^\d{1,10}$/.test(nofile) ? Number(nofile) : -1,
    fds: /^\d{1,9}(,\d{1,9})*$/.test(fds) ? fds.split(',').map(Number) : [0, 1, 2],
  };
}

/**
 * The environment for the command, as `NAME=value`: exactly the launcher's own, in its order and bytes, where
 * that was recorded for this process `pid`; otherwise ours with the moved variables put back. Nothing of the
 * launcher's is in it.
 */
export function commandEnvironment(env: Environment, pid: number = process.pid): (string | Buffer)[] {
  const environ = isRecordedFor(env, pid) ? Buffer.from(field(env, 'environ'), 'base64') : Buffer.alloc(0);
  if (environ.length > 0)
    return splitAtNul(environ).filter((entry) => entry.length > 0 && !isOurs(String(entry)));
  const entries: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || name === LAUNCH) continue;
    entries.push(`${name.startsWith(MOVED) ? name.slice(MOVED.length) : name}=${value}`);
  }
  return entries;
}

/** The last arguments of this process as the kernel has them: Node loses bytes that are not UTF-8. */
export function exactArguments(args: readonly string[], cmdline: Buffer): (string | Buffer)[] {
  if (!args.some((arg) => arg.includes('\ufffd'))) return [...args];
  return splitAtNul(cmdline).slice(-args.length - 1, -1);
}

/** Pieces as text where they are text, otherwise as bytes. */
function splitAtNul(bytes: Buffer): (string | Buffer)[] {
  const pieces: (string | Buffer)[] = [];
  for (let at = 0; at <= bytes.length; ) {
    const end = bytes.indexOf(0, at);
    const piece = bytes.subarray(at, end < 0 ? bytes.length : end);
    const text = piece.toString('utf8');
    pieces.push(Buffer.from(text).equals(piece) ? text : piece);
    at += piece.length + 1;
  }
  return pieces;
}

function isRecordedFor(env: Environment, pid: number): boolean {
  return field(env, 'pid') === String(pid);
}

function field(env: Environment, name: string): string {
  const part = (env[LAUNCH] ?? '').split(';').find((entry) => entry.startsWith(`${name}=`));
  return part?.slice(name.length + 1) ?? '';
}

function isOurs(entry: string): boolean {
  return entry.startsWith(`${LAUNCH}=`) || entry.startsWith(MOVED);
}
