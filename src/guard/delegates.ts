/** A socket by which work is handed to a process outside the run, which then acts for it. */
export interface Delegate {
  /** As policy calls it. */
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
  { name: 'docker', does: 'runs containers', socket: new RegExp(`^${RUN}/docker\\.sock$|/docker\\.sock$`) },
  { name: 'containerd', does: 'runs containers', socket: /\/containerd(?:\/[^/]*)*\.sock(?:\.ttrpc)?$/ },
  { name: 'podman', does: 'runs containers', socket: /\/podman(?:\/[^/]*)*\.sock$/ },
  { name: 'crio', does: 'runs containers', socket: /\/crio\/crio\.sock$/ },
  {
    name: 'machined',
    does: 'knows containers by name',
    paths: ['/run/systemd/machine/io.systemd.Machine'],
  },
  {
    name: 'systemd',
    does: 'starts units',
    socket: new RegExp(`^${RUN}/(?:user/\\d+/)?systemd/(?:private|io\\.systemd\\.)`),
  },
  {
    name: 'dbus',
    does: 'passes requests on',
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
  { name: 'cron', does: 'runs jobs', socket: new RegExp(`^${RUN}/(?:crond?|atd|fcron)[^/]*$`) },
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
    does: 'signs for logins',
    socket:
      /\/ssh-[A-Za-z0-9]+\/agent\.\d+$|\/(?:ssh-agent|gcr\/ssh|keyring\/ssh|gnupg\/S\.gpg-agent\.ssh)[^/]*$/,
  },
  {
    name: 'ssh-master',
    does: 'shares a login',
    socket: /\/\.ssh\/[^/]*(?:master|mux|control|sock|@)[^/]*$|\/\.ssh\/(?:cm|controlmasters|sockets)\//,
  },
];

/** Who is behind a UNIX socket, an abstract one beginning with `@`; null: nobody known to act for others. */
export function delegateAt(path: string): Delegate | null {
  return DELEGATES.find((known) => pathsOf(known).includes(path) || known.socket?.test(path)) ?? null;
}

/** Where the delegate of that name listens, by every spelling its clients are known to use. */
export function socketsOf(name: string): string[] {
  return DELEGATES.filter((known) => known.name === name).flatMap(pathsOf);
}

function pathsOf({ paths = [] }: Known): string[] {
  return paths.flatMap((path) => (path.startsWith('/run/') ? [path, `/var${path}`] : [path]));
}
