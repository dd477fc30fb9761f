/** How the options of one program give secrets away. */
export interface ProgramOptions {
  /** The secret is the next argument. */
  readonly next?: readonly string[];
  /** The secret is glued on. */
  readonly glued?: readonly string[];
  /** The two above hold only with this word among the arguments. */
  readonly when?: string;
  /** Look like options for a secret, and are none here. */
  readonly plain?: readonly string[];
  /** It runs another program, named among its arguments: after this word, or anywhere. */
  readonly runs?: string | true;
}

const MYSQL: ProgramOptions = { glued: ['-p'], plain: ['--password'] };
const POSTGRES: ProgramOptions = { plain: ['--password'] };
const CONTAINER: ProgramOptions = {
  next: ['-p'],
  when: 'login',
  plain: ['--secret', '-u', '--user'],
  runs: 'exec',
};

/** By name, or by how it begins where that ends in `*`. */
const PROGRAMS: Readonly<Record<string, ProgramOptions>> = {
  'mysql*': MYSQL,
  'mariadb*': MYSQL,
  psql: POSTGRES,
  'pg_*': POSTGRES,
  createdb: POSTGRES,
  dropdb: POSTGRES,
  'redis-cli': { next: ['-a'] },
  'ldap*': { next: ['-w'], glued: ['-w'] },
  'mongo*': { next: ['-p'], glued: ['-p'] },
  sqlcmd: { next: ['-P'], glued: ['-P'] },
  zip: { next: ['-P'], glued: ['-P'] },
  unzip: { next: ['-P'], glued: ['-P'] },
  '7z*': { glued: ['-p'] },
  az: { next: ['-p'], when: 'login' },
  useradd: { next: ['-p'] },
  usermod: { next: ['-p'] },
  curl: { glued: ['-u'] },
  ssh: {},
  scp: {},
  sshpass: { next: ['-p'], glued: ['-p'], runs: true },
  docker: CONTAINER,
  'docker-compose': CONTAINER,
  podman: CONTAINER,
  nerdctl: CONTAINER,
  buildah: CONTAINER,
  helm: CONTAINER,
  kubectl: { plain: ['--secret'], runs: 'exec' },
  gcloud: { plain: ['--secret'] },
  sudo: { plain: ['-u', '--user'], runs: true },
  ...Object.fromEntries(
    ['env', 'nice', 'time', 'timeout', 'nohup', 'xargs', 'setsid', 'exec', 'stdbuf', 'flock', 'chroot'].map(
      (name) => [name, { runs: true }],
    ),
  ),
};

/** The options of the program a command line names; null when nothing is known of it. */
export function optionsOf(word: string): ProgramOptions | null {
  const name = word.slice(word.lastIndexOf('/') + 1);
  const exact = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
  if (exact) return exact;
  const begins = Object.keys(PROGRAMS).find((key) => key.endsWith('*') && name.startsWith(key.slice(0, -1)));
  return begins === undefined ? null : (PROGRAMS[begins] ?? null);
}
