/** A socket by which work is handed to a process outside the run, which then acts for it. */
export interface Delegate {
  /** As policy calls it. */
  readonly name: string;
  /** What it does for who asks, to follow its name. */
  readonly does: string;
}

const RUN = '(?:/var)?/run';

const DELEGATES: readonly (Delegate & { readonly socket: RegExp })[] = [
  { name: 'docker', does: 'runs containers', socket: new RegExp(`^${RUN}/docker\\.sock$|/docker\\.sock$`) },
  { name: 'containerd', does: 'runs containers', socket: /\/containerd(?:\/[^/]*)*\.sock(?:\.ttrpc)?$/ },
  { name: 'podman', does: 'runs containers', socket: /\/podman(?:\/[^/]*)*\.sock$/ },
  { name: 'crio', does: 'runs containers', socket: /\/crio\/crio\.sock$/ },
  {
    name: 'systemd',
    does: 'starts units',
    socket: new RegExp(`^${RUN}/(?:user/\\d+/)?systemd/(?:private|io\\.systemd\\.)`),
  },
  {
    name: 'dbus',
    does: 'passes requests on',
    socket: new RegExp(`^${RUN}/(?:dbus/system_bus_socket|user/\\d+/bus)$|^@/tmp/dbus-`),
  },
  { name: 'resolved', does: 'resolves names', socket: new RegExp(`^${RUN}/systemd/resolve/`) },
  { name: 'varlink', does: 'serves requests', socket: /\/(?:varlink|io\.[a-z0-9-]+)(?:\.[A-Za-z0-9-]+)+$/ },
  { name: 'cron', does: 'runs jobs', socket: new RegExp(`^${RUN}/(?:crond?|atd|fcron)[^/]*$`) },
  { name: 'nscd', does: 'resolves names', socket: new RegExp(`^${RUN}/nscd/socket$`) },
  { name: 'sssd', does: 'looks up users and names', socket: /^\/var\/lib\/sss\/pipes\// },
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
  return DELEGATES.find(({ socket }) => socket.test(path)) ?? null;
}
