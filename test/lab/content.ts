import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const ENV = {
  PATH: process.env.PATH ?? '',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'Lab',
  GIT_AUTHOR_EMAIL: 'lab@example.com',
  GIT_COMMITTER_NAME: 'Lab',
  GIT_COMMITTER_EMAIL: 'lab@example.com',
};

/** Fills `root` with what the lab's web servers serve, a folder by host: see each function for the addresses. */
export async function makeContent(root: string): Promise<void> {
  await mkdir(root);
  await Promise.all([makeGit(root), makeApt(root), makeNpm(root), makeRelease(root)]);
}

/** `https://git.mirror.internal/tools.git`, and the same at `https://github.com/mysql/tools.git`. */
async function makeGit(root: string): Promise<void> {
  const work = path.join(root, 'git-work');
  const git = (cwd: string, ...args: string[]) => execute('git', args, { cwd, env: ENV });
  await mkdir(work);
  await git(work, 'init', '-q', '-b', 'main');
  await writeFile(path.join(work, 'README'), 'tools for mysql\n');
  await git(work, 'add', 'README');
  await git(work, 'commit', '-q', '-m', 'Start');
  for (const bare of ['git.mirror.internal/tools.git', 'github.com/mysql/tools.git']) {
    await mkdir(path.dirname(path.join(root, bare)), { recursive: true });
    await git(root, 'clone', '-q', '--bare', work, bare);
    await git(path.join(root, bare), 'update-server-info');
  }
}

/** `deb [trusted=yes] http://apt.internal/debian ./`, with one package, `lab-hello`. */
async function makeApt(root: string): Promise<void> {
  const repository = path.join(root, 'apt.internal', 'debian');
  const tree = path.join(root, 'apt-tree');
  await mkdir(repository, { recursive: true });
  await mkdir(path.join(tree, 'DEBIAN'), { recursive: true });
  const control = `Package: lab-hello
Version: 1.0
Architecture: all
Maintainer: Lab <lab@example.com>
Description: a package to fetch
`;
  await writeFile(path.join(tree, 'DEBIAN', 'control'), control);
  const file = 'lab-hello_1.0_all.deb';
  await execute('dpkg-deb', ['--build', '--root-owner-group', tree, path.join(repository, file)], {
    env: ENV,
  });
  const bytes = await readFile(path.join(repository, file));
  const packages = `${control}Filename: ./${file}\nSize: ${bytes.length}\nSHA256: ${hash('sha256', bytes)}\n`;
  await writeFile(path.join(repository, 'Packages'), packages);
  const index = ` ${hash('sha256', Buffer.from(packages))} ${packages.length} Packages`;
  const release = `Origin: lab\nSuite: stable\nDate: ${new Date().toUTCString()}\nSHA256:\n${index}\n`;
  await writeFile(path.join(repository, 'Release'), release);
}

/** `https://npm.mirror.internal/`, with one package, `lab-hello`. */
async function makeNpm(root: string): Promise<void> {
  const folder = path.join(root, 'npm.mirror.internal', 'lab-hello');
  const tree = path.join(root, 'npm-tree');
  await mkdir(path.join(folder, '-'), { recursive: true });
  await mkdir(path.join(tree, 'package'), { recursive: true });
  const manifest = { name: 'lab-hello', version: '1.0.0', main: 'index.js' };
  await writeFile(path.join(tree, 'package', 'package.json'), JSON.stringify(manifest));
  await writeFile(path.join(tree, 'package', 'index.js'), "module.exports = 'hello from npm';\n");
  const tarball = path.join(folder, '-', 'lab-hello-1.0.0.tgz');
  await execute('tar', ['-czf', tarball, '-C', tree, 'package'], { env: ENV });
  const bytes = await readFile(tarball);
  const dist = {
    tarball: 'https://npm.mirror.internal/lab-hello/-/lab-hello-1.0.0.tgz',
    shasum: hash('sha1', bytes),
    integrity: `sha512-${createHash('sha512').update(bytes).digest('base64')}`,
  };
  const packument = {
    name: 'lab-hello',
    'dist-tags': { latest: '1.0.0' },
    versions: { '1.0.0': { ...manifest, dist } },
  };
  await writeFile(path.join(folder, 'index.json'), JSON.stringify(packument));
}

/** `https://github.com/mysql/tools/releases/schema-tool` and `https://tools.mirror.internal/schema-tool`. */
async function makeRelease(root: string): Promise<void> {
  for (const file of ['github.com/mysql/tools/releases/schema-tool', 'tools.mirror.internal/schema-tool']) {
    const place = path.join(root, file);
    await mkdir(path.dirname(place), { recursive: true });
    await writeFile(place, '#!/bin/sh\necho "schema tool"\n');
  }
}

function hash(algorithm: 'sha1' | 'sha256', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}
