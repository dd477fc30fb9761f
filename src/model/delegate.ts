/** Who takes work from others and does it outside the run, and what it does, to follow its name. */
export const DELEGATES = {
  systemd: 'starts units',
  dbus: 'passes requests on',
  docker: 'runs containers',
  containerd: 'runs containers',
  podman: 'runs containers',
  crio: 'runs containers',
  cron: 'runs jobs',
  sshd: 'runs commands',
  'ssh-master': 'shares a login',
  'ssh-agent': 'signs for logins',
} as const;

/** As policy calls it. */
export type DelegateName = keyof typeof DELEGATES;
