import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Not needed to run, and half of the size. */
const LEFT_OUT = /^\/usr\/(share\/(doc|man|info|locale|i18n|zoneinfo|perl|terminfo)|lib\/[^/]+\/gconv)\//;

/** A Debian system of its own in a directory, made of packages of this one: the essential, and those named. */
export class DebianSystem {
  readonly root = mkdtempSync(join(tmpdir(), 'acyclic-system-'));

  constructor(packages: readonly string[]) {
    const chosen = closure(packages);
    for (const directory of ['bin', 'sbin', 'lib', 'lib64'])
      execFileSync('sh', ['-c', 'mkdir -p "$1/usr/$2" && ln -s "usr/$2" "$1/$2"', '-', this.root, directory]);
    for (const directory of ['dev', 'proc', 'sys', 'run', 'tmp', 'root', 'etc', 'var/lib/dpkg/info'])
      mkdirSync(join(this.root, directory), { recursive: true });
    chmodSync(this.root, 0o755);
    chmodSync(join(this.root, 'tmp'), 0o1777);
    this.#copyFiles(chosen);
    this.#registerPackages(chosen);
    for (const file of ['passwd', 'group'])
      execFileSync('cp', [`/usr/share/base-passwd/${file}.master`, join(this.root, 'etc', file)]);
  }

  put(path: string, text: string, mode = 0o644): void {
    execFileSync('mkdir', ['-p', join(this.root, path, '..')]);
    writeFileSync(join(this.root, path), text, { mode });
  }

  /** Runs a shell script in the system, with this machine's kernel; a mount namespace keeps the mounts from others. */
  run(script: string): { readonly status: number | null; readonly said: string } {
    const mounts = `mount -t tmpfs none "$1/run"; for at in proc dev sys; do mount --rbind "/$at" "$1/$at"; done`;
    const enter = `set -e; ${mounts}; exec chroot "$1" /bin/sh -c "$2"`;
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', enter, '-', this.root, `exec 2>&1; ${script}`],
      { encoding: 'utf8', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' }, timeout: 50_000 },
    );
    return { status, said: stdout + stderr };
  }

  exists(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  remove(): void {
    rmSync(this.root, { recursive: true });
  }

  #copyFiles(packages: readonly string[]): void {
    const listed = execFileSync('dpkg-query', ['-L', ...packages], { encoding: 'utf8', maxBuffer: 1 << 26 });
    const files = listed
      .split('\n')
      .filter((path) => path.startsWith('/') && path !== '/.' && !LEFT_OUT.test(path));
    const names = [...new Set(files)].filter((path) => existsSync(path)).map((path) => `${path.slice(1)}\0`);
    const how = ['-C', '/', '--null', '--no-recursion', '-T', '-', '-cf', '-'];
    const archive = execFileSync('tar', how, { input: names.join(''), maxBuffer: 1 << 30 });
    execFileSync('tar', ['-C', this.root, '--keep-directory-symlink', '-xf', '-'], { input: archive });
  }

  #registerPackages(packages: readonly string[]): void {
    const stanzas = readFileSync('/var/lib/dpkg/status', 'utf8').split('\n\n');
    const wanted = new Set(packages);
    const own = stanzas.filter((stanza) => wanted.has(/^Package: (.*)$/m.exec(stanza)?.[1] ?? ''));
    this.put('var/lib/dpkg/status', `${own.join('\n\n')}\n\n`);
    execFileSync('sh', [
      '-c',
      'cd /var/lib/dpkg/info && for name; do cp "$name".list "$name":*.list "$0" 2>/dev/null; done; true',
      join(this.root, 'var/lib/dpkg/info'),
      ...packages,
    ]);
  }
}

/** Installed packages that these and the essential ones need, themselves included. */
function closure(names: readonly string[]): string[] {
  const fields = ['db:Status-Status', 'Package', 'Essential', 'Provides', 'Pre-Depends', 'Depends'];
  const format = `${fields.map((field) => `\${${field}}`).join('\t')}\n`;
  const installed = execFileSync('dpkg-query', ['-W', '-f', format], { encoding: 'utf8', maxBuffer: 1 << 26 })
    .split('\n')
    .filter((line) => line.startsWith('installed\t'))
    .map((line) => line.split('\t').slice(1) as [string, string, string, ...string[]]);
  const needs = new Map(installed.map(([name, , , ...depends]) => [name, depends.flatMap(alternatives)]));
  const providers = new Map(
    installed.flatMap(([name, , provides]) =>
      alternatives(provides).map((virtual) => [virtual, name] as const),
    ),
  );
  const found = new Set<string>();
  const walk = (name: string) => {
    const real = needs.has(name) ? name : providers.get(name);
    if (real === undefined || found.has(real)) return;
    found.add(real);
    for (const need of needs.get(real) ?? []) walk(need);
  };
  for (const [name, essential] of installed) if (essential === 'yes') walk(name);
  for (const name of names) walk(name);
  return [...found];
}

/** Names in a dependency field; all of those that any one of would do. */
function alternatives(field: string): string[] {
  return field.split(/[,|]/).flatMap((one) => /^\s*([a-z0-9][a-z0-9+.-]*)/.exec(one)?.[1] ?? []);
}
