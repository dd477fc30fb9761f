import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Packages are kept here between runs. */
const CACHE = fileURLToPath(new URL('../../build/packages', import.meta.url));

/**
 * Where a Debian package is unpacked, fetched on first use. It is not installed: daemons that would start and files
 * they would take over (systemd-resolved puts itself into /etc/resolv.conf) stay out of this machine.
 */
export function debianPackage(name: string): string {
  const place = path.join(CACHE, name);
  if (existsSync(place)) return place;
  const work = path.join(CACHE, `.${name}-${process.pid}`);
  mkdirSync(work, { recursive: true });
  try {
    const download = ['-o', 'APT::Sandbox::User=root', 'download', name];
    execFileSync('apt-get', download, { cwd: work, stdio: ['ignore', 'ignore', 'pipe'] });
    const [archive] = readdirSync(work).filter((file) => file.endsWith('.deb'));
    if (archive === undefined) throw new Error(`apt-get download ${name} left no package`);
    execFileSync('dpkg', ['-x', archive, 'tree'], { cwd: work });
    renameSync(path.join(work, 'tree'), place);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return place;
}

/** systemd-resolved's program, and the directory of the library it was built with. */
export function systemdResolved(): { readonly program: string; readonly libraries: string } {
  const program = findFile(debianPackage('systemd-resolved'), 'systemd-resolved');
  const library = findFile(debianPackage('libsystemd-shared'), 'libsystemd-shared-*.so');
  return { program, libraries: path.dirname(library) };
}

/** The directory of glibc's module that asks systemd-resolved. */
export function nssResolve(): string {
  return path.dirname(findFile(debianPackage('libnss-resolve'), 'libnss_resolve.so.2'));
}

function findFile(tree: string, name: string): string {
  const found = execFileSync('find', [tree, '-type', 'f', '-name', name], { encoding: 'utf8' });
  const [file = ''] = found
    .split('\n')
    .filter((line) => !/share|etc/.test(path.relative(tree, path.dirname(line))));
  if (file === '') throw new Error(`no ${name} in ${tree}`);
  return file;
}

/**
 * A shell script that runs systemd-resolved in the background, as root, in a mount namespace of its own whose /run is
 * empty; `$1` is what its resolved.conf says. Goes on once its stub answers.
 */
export function resolvedScript({ program, libraries }: ReturnType<typeof systemdResolved>): string {
  return `mount -t tmpfs none /run && mkdir -p /run/systemd/resolved.conf.d && printf '[Resolve]\\n%s\\n' "$1" > /run/systemd/resolved.conf.d/own.conf
cp /etc/passwd /run/passwd && echo 'systemd-resolve:x:0:0::/:/bin/false' >> /run/passwd && mount --bind /run/passwd /etc/passwd
LD_LIBRARY_PATH='${libraries}' SYSTEMD_LOG_TARGET=console '${program}' 2> /run/resolved.log & resolved=$!
for i in $(seq 100); do [ -S /run/systemd/resolve/io.systemd.Resolve ] && break; sleep 0.05; done
`;
}
