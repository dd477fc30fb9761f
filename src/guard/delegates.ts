import { type DelegateName, DELEGATES as NAMED } from '../model/delegate.ts';

/** A socket by which work is handed to a process outside the run, which then acts for it. */
export interface Delegate {
  /** As policy calls it, where policy speaks of it. */
  readonly name: string;
  /** What it does for who asks, to follow its name. */
  readonly does: string;
}

interface Known extends Delegate {
  /** Paths that are always its own; each below /run is below /var/run too. */
  readonly paths?: readonly string[];
  /** What else is. */
  readonly socket?: RegExp;
}

const RUN = '(?:/var)?/run';

const DELEGATES: readonly Known[] = [
  {
    name: 'docker',
    does: NAMED.docker,
    paths: ['/run/docker.sock'],
    socket: /\/docker\.sock$/,
  },
  {
    name: 'containerd',
    does: NAMED.containerd,
    paths: [
      '/run/containerd/containerd.sock',
      '/run/containerd/containerd.sock.ttrpc',
      '/run/docker/containerd/containerd.sock',
    ],
    socket: /\/containerd(?:\/[^/]*)*\.sock(?:\.ttrpc)?$/,
  },
  {
    name: 'podman',
    does: NAMED.podman,
    paths: ['/run/podman/podman.sock'],
    socket: /\/podman(?:\/[^/]*)*\.sock$/,
  },
  { name: 'crio', does: NAMED.crio, paths: ['/run/crio/crio.sock'], socket: /\/crio\/crio\.sock$/ },
  {
    name: 'machined',
    does: 'knows containers by name',
    paths: ['/run/systemd/machine/io.systemd.Machine'],
  },
  {
    name: 'systemd',
    does: NAMED.systemd,
    paths: ['/run/systemd/private', '/run/systemd/io.systemd.Manager'],
    socket: new RegExp(`^${RUN}/(?:user/\\d+/)?systemd/(?:private|io\\.systemd\\.)`),
  },
  {
    name: 'dbus',
    does: NAMED.dbus,
    paths: ['/run/dbus/system_bus_socket'],
    socket: new RegExp(`^${RUN}/user/\\d+/bus$|^@/tmp/dbus-`),
  },
  {
    name: 'resolved',
    does: 'resolves names',
    paths: ['/run/systemd/resolve/io.systemd.Resolve'],
    socket: new RegExp(`^${RUN}/systemd/resolve/`),
  },
  { name: 'varlink', does: 'serves requests', socket: /\/(?:varlink|io\.[a-z0-9-]+)(?:\.[A-Za-z0-9-]+)+$/ },
  { name: 'sshd', does: NAMED.sshd, paths: ['/run/ssh-unix-local/socket'] },
  { name: 'cron', does: NAMED.cron, socket: new RegExp(`^${RUN}/(?:crond?|atd|fcron)[^/]*$`) },
  { name: 'nscd', does: 'resolves names', paths: ['/run/nscd/socket'] },
  {
    name: 'sssd',
    does: 'looks up users and names',
    paths: ['/var/lib/sss/pipes/nss'],
    socket: /^\/var\/lib\/sss\/pipes\//,
  },
  { name: 'nslcd', does: 'looks up users and names', paths: ['/run/nslcd/socket'] },
  { name: 'avahi', does: 'resolves names', paths: ['/run/avahi-daemon/socket'] },
  {
    name: 'ssh-agent',
    does: NAMED['ssh-agent'],
    socket:
      /\/ssh-[A-Za-z0-9]+\/agent\.\d+$|\/(?:ssh-agent|gcr\/ssh|keyring\/ssh|gnupg\/S\.gpg-agent\.ssh)[^/]*$/,
  },
  {
    name: 'ssh-master',
    does: NAMED['ssh-master'],
    socket: /\/\.ssh\/[^/]*(?:master|mux|control|sock|@)[^/]*$|\/\.ssh\/(?:cm|controlmasters|sockets)\//,
  },
];

/** Who is behind a UNIX socket, an abstract one beginning with `@`; null: nobody known to act for others. */
export function delegateAt(path: string): Delegate | null {
  return DELEGATES.find((known) => pathsOf(known).includes(path) || known.socket?.test(path)) ?? null;
}

/** Who is behind a UNIX socket, where policy speaks of him. */
export function namedDelegateAt(path: string): DelegateName | null {
  const name = delegateAt(path)?.name ?? '';
  return isNamed(name) ? name : null;
}

/** Whether policy speaks of a delegate. */
export function isNamed(name: string): name is DelegateName {
  return name in NAMED;
}

/** Where the delegate of that name listens, by every spelling its clients are known to use. */
export function socketsOf(name: string): string[] {
  return DELEGATES.filter((known) => known.name === name).flatMap(pathsOf);
}

function pathsOf({ paths = [] }: Known): string[] {
  return paths.flatMap(spellings);
}

/** A path and what else it is called: /var/run is a link to /run. */
export function spellings(path: string): string[] {
  const short = path.replace(/^\/var(?=\/run\/)/, '');
  return short.startsWith('/run/') ? [short, `/var${short}`] : [path];
}
