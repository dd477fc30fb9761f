import { execFileSync } from 'node:child_process';
import path from 'node:path';

/** A program that looks names up. Given names, it prints a line for each, in order: `NAME open` or `NAME no`. */
export interface Client {
  readonly name: string;
  /** It tries the search list, and reads /etc/hosts. */
  readonly searches: boolean;
  readonly readsHosts: boolean;
  /** It connects to port 80 of what it finds. */
  readonly connects: boolean;
  argv(names: readonly string[]): string[];
}

const FIXTURES = path.join(import.meta.dirname, 'fixtures');

const PYTHON = `
import socket, sys
for name in sys.argv[1:]:
    try:
        socket.create_connection((name, 80), 3).close()
        print(name, 'open', flush=True)
    except OSError:
        print(name, 'no', flush=True)`;

const NODE = (look: string): string => `
const dns = require('dns').promises, net = require('net');
const say = (name, word) => require('fs').writeSync(1, name + ' ' + word + '\\n');
(async () => {
  for (const name of process.argv.slice(1)) await (${look}).then(() => say(name, 'open'), () => say(name, 'no'));
})()`;
const NODE_CARES = NODE('dns.resolve4(name)');
const NODE_CONNECT = NODE(
  "new Promise((good, bad) => net.connect(80, name, function () { this.destroy(); good() }).on('error', bad))",
);

/** One process for each name. */
const shell = (command: string) => (names: readonly string[]) => [
  'bash',
  '-c',
  `for name; do if ${command}; then echo "$name open"; else echo "$name no"; fi; done`,
  'bash',
  ...names,
];

/** Compiles what is compiled, into a directory of the test's; about two seconds. */
export function prepareClients(directory: string): readonly Client[] {
  const source = path.join(FIXTURES, 'resolve.c');
  const [glibc, musl] = [path.join(directory, 'resolve-glibc'), path.join(directory, 'resolve-musl')];
  execFileSync('cc', ['-O1', '-o', glibc, source]);
  execFileSync('musl-gcc', ['-O1', '-static', '-o', musl, source]);
  execFileSync('javac', ['-d', directory, path.join(FIXTURES, 'Resolve.java')]);
  const stub = { searches: true, readsHosts: true, connects: true };
  const plain = { searches: false, readsHosts: false, connects: false };
  return [
    { name: 'glibc', ...stub, argv: (names) => [glibc, ...names] },
    { name: 'getent', ...stub, connects: false, argv: shell('getent hosts "$name" >&-') },
    { name: 'musl', ...stub, argv: (names) => [musl, ...names] },
    {
      name: 'Go',
      ...stub,
      argv: (names) => [
        'env',
        'GODEBUG=netdns=go',
        ...shell('hey -n 1 -c 1 -t 3 "http://$name/" 2>&- | grep -Eq "\\[[0-9]+\\].1 responses"')(names),
      ],
    },
    {
      name: 'Java',
      ...stub,
      argv: (names) => ['java', '-Xshare:auto', '-cp', directory, 'Resolve', ...names],
    },
    { name: 'Python', ...stub, argv: (names) => ['python3', '-c', PYTHON, ...names] },
    { name: 'curl', ...stub, argv: shell('curl -s -o /dev/null "http://$name/"') },
    {
      name: 'Node by getaddrinfo',
      ...stub,
      argv: (names) => [process.execPath, '-e', NODE_CONNECT, ...names],
    },
    { name: 'Node by c-ares', ...plain, argv: (names) => [process.execPath, '-e', NODE_CARES, ...names] },
    { name: 'dig over TCP', ...plain, argv: shell('dig +tcp +short "$name" | grep -q .') },
    {
      name: 'dig with the search list',
      ...plain,
      searches: true,
      argv: shell('dig +search +short "$name" | grep -q .'),
    },
    {
      name: 'busybox nslookup',
      ...plain,
      searches: true,
      argv: shell('busybox nslookup "$name" 2>&1 | grep -q ^Name:'),
    },
  ];
}
