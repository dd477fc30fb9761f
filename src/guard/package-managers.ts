/** Where a package manager is asked, how, and how its answer is read: the package of each path that is in one. */
export interface Manager {
  readonly program: string;
  readonly args: readonly string[];
  /** The file or directory that changes when something is installed or removed. */
  readonly database: string;
  read(output: string, paths: readonly string[]): Map<string, string>;
}

export const DPKG: Manager = {
  program: '/usr/bin/dpkg-query',
  args: ['--search', '--'],
  database: '/var/lib/dpkg/status',
  read: (output) => {
    const lines = [...output.matchAll(/^(?!diversion )([^:,\s]+)[^/\n]*: (\/.*)$/gm)];
    return new Map(lines.map(([, name = '', path = '']) => [path, name]));
  },
};

export const RPM: Manager = {
  program: '/usr/bin/rpm',
  database: '/var/lib/rpm',
  args: ['--query', '--file', '--queryformat', '%{NAME}\\n', '--'],
  // One line a file, in their order; for one it does not know, a sentence.
  read: (output, paths) => {
    const lines = output.split('\n');
    const named = paths.map((path, i) => [path, lines[i] ?? ''] as const);
    return new Map(named.filter(([, name]) => /^[\w.+-]+$/.test(name)));
  },
};
