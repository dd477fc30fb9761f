import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ACYCLIC, ALLOWED, DENIED, type Ground, openGround } from './ground.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground.stop());

const PASS = `
import array, errno, os, socket, sys, time
def tell(step, act):
    try: print(step, act() or 'went', flush=True)
    except OSError as e: print(step, errno.errorcode.get(e.errno, e), flush=True)
def listen(path):
    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen(); return s.accept()[0]
def reach(path):
    for i in range(500):
        try: s = socket.socket(socket.AF_UNIX); s.connect(path); return s
        except OSError: time.sleep(0.02)
    raise SystemExit('nobody listens')
def give(over, sock): socket.send_fds(over, [b'x'], [sock.fileno()])
def take(over): return socket.socket(fileno=socket.recv_fds(over, 1, 1)[1][0])
`;

/** Runs one Python program outside the run and one inside at once; gives what each printed. */
async function both(outside: string, inside: string) {
  const child = ground.lab.client.spawn(['python3', '-c', PASS + outside]);
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint += chunk;
  });
  const closed = once(child, 'close');
  const run = await ground.guarded(['python3', '-c', PASS + inside]);
  await closed;
  expect(run.code, run.stderr).toBe(0);
  expect(complaint).toBe('');
  return { outside: said, inside: run.stdout, run };
}

test('a socket of the run, passed out, is still under the policy of the run', async () => {
  let seen: Awaited<ReturnType<typeof both>> | undefined;
  const leak = await ground.leaked(async () => {
    seen = await both(
      `over = listen('out.sock'); tcp = take(over); udp = take(over)
tell('tcp', lambda: tcp.connect(('${DENIED[0]}', 80)))
tell('udp', lambda: udp.sendto(b'x', ('${DENIED[0]}', 7)) and None)
s = socket.socket(); tell('own', lambda: s.connect(('${ALLOWED[0]}', 7)))
over.send(b'done')`,
      `over = reach('out.sock'); give(over, socket.socket()); give(over, socket.socket(type=socket.SOCK_DGRAM)); over.recv(4)`,
    );
  });
  expect(seen?.outside).toBe('tcp EPERM\nudp EPERM\nown went\n');
  expect(leak.records).toEqual([]);
});

test('a socket of a process outside goes on as it was while the run has it, too', async () => {
  const seen = await both(
    `over = listen('in.sock'); s = socket.create_connection(('${DENIED[0]}', 80)); give(over, s); over.recv(4)
s.sendall(b'GET / HTTP/1.0\\r\\nHost: github.com\\r\\n\\r\\n'); tell('outside', lambda: s.recv(12).decode())`,
    `over = reach('in.sock'); s = take(over); s.getpeername(); s.close(); over.send(b'done')`,
  );
  expect(seen.outside).toBe('outside HTTP/1.1 200\n');
});

test('an accepted connection, passed in by the process outside that serves it, is served by the run', async () => {
  const seen = await both(
    `over = listen('serve.sock'); l = socket.socket(); l.bind(('127.0.0.1', 7101)); l.listen()
give(over, l); over.recv(4)`,
    `over = reach('serve.sock'); l = take(over)
c = socket.create_connection(('127.0.0.1', 7101)); s = l.accept()[0]; s.sendall(b'hello'); tell('got', lambda: c.recv(5).decode()); over.send(b'done')`,
  );
  expect(seen.inside).toBe('got hello\n');
});

test('processes outside that share the address with the run see no difference', async () => {
  const seen = await both(
    `over = listen('share.sock'); over.recv(5)
s = socket.create_connection(('${DENIED[0]}', 80), 5); u = socket.socket(type=socket.SOCK_DGRAM); u.settimeout(5)
u.sendto(b'x', ('${ALLOWED[0]}', 7)); tell('udp', lambda: u.recv(1).decode())
tell('lookup', lambda: socket.getaddrinfo('github.com', 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
tell('denied to the run', lambda: s.getpeername()[0])
over.send(b'done')`,
    `over = reach('share.sock'); tell('here', lambda: socket.create_connection(('${DENIED[0]}', 80), 5))
tell('lookup', lambda: socket.getaddrinfo('github.com', 80)); over.send(b'ready'); over.recv(4)`,
  );
  expect(seen.outside).toBe('udp x\nlookup 192.0.2.7\ndenied to the run 192.0.2.7\n');
  expect(seen.inside).toMatch(/^here EPERM\nlookup .*Name or service not known.*\n$/);
});

test('an outbound socket that is inherited is refused, or listed when accepted', async () => {
  const inherit = (...flags: string[]) =>
    ground.lab.client.run([
      ...['bash', '-c', `exec 5<>/dev/tcp/${DENIED[0]}/80; exec "$@"`, 'bash', ACYCLIC, 'run'],
      ...['-p', ground.policy, ...flags, '--', 'readlink', '/proc/self/fd/5'],
    ]);
  const refused = await inherit();
  expect(refused).toMatchObject({ code: 125, stdout: '' });
  expect(refused.stderr).toMatch(
    /would inherit a socket.*descriptor 5: IPv4 TCP socket, connected to port 80/,
  );
  const accepted = await inherit('--allow-inherited');
  expect(accepted.stdout).toMatch(/^socket:/);
  expect(accepted.stderr).toMatch(/inherits sockets\n +descriptor 5:/);
  expect((await inherit('--audit')).code).toBe(0);
});

test('a run in a run is under both policies: the inner one cannot loosen the outer', async () => {
  const loose = await ground.file(
    'loose.yaml',
    'version: 1\nservices: { a: {} }\ndeployments: { a: { default: allow, deny: [{ address: 10.86.0.60 }] } }\n',
  );
  const inner = (...command: string[]) => [ACYCLIC, 'run', '--quiet', '-p', loose, '--', ...command];
  let seen: Awaited<ReturnType<Ground['guarded']>> | undefined;
  const leak = await ground.leaked(async () => {
    seen = await ground.guarded(
      inner(
        'python3',
        '-c',
        `${PASS}
for host in ('${DENIED[0]}', '${ALLOWED[0]}', '10.86.0.20'):
    tell(host, lambda: socket.create_connection((host, 80 if host.endswith('20') else 7), 3) and None)
tell('mirror', lambda: socket.create_connection(('tools.mirror.internal', 80), 3) and None)
tell('github', lambda: socket.getaddrinfo('github.com', 80))
raise SystemExit(9)`,
      ),
    );
  });
  expect(seen?.stdout, seen?.stderr).toBe(
    [
      `${DENIED[0]} EPERM`,
      `${ALLOWED[0]} EPERM`,
      '10.86.0.20 EPERM',
      'mirror went',
      'github [Errno -2] Name or service not known',
      '',
    ].join('\n'),
  );
  expect(seen?.code).toBe(9);
  expect(leak.records).toEqual([]);
});

test('the DNS proxy of a run answers nobody outside it', async () => {
  const script = `ss -Hlun src 127.86.0.1 | awk '{ sub(/.*:/, "", $4); print $4; exit }' > port; : > ready
while ! [ -e go ]; do sleep 0.05; done; dig +short tools.mirror.internal; cat port`;
  const run = ground.guarded(['bash', '-c', script]);
  const outside = await ground.lab.client.run([
    'bash',
    '-c',
    `while ! [ -e ready ]; do sleep 0.05; done
dig +time=1 +tries=1 +short @127.86.0.1 -p "$(cat port)" tools.mirror.internal; : > go`,
  ]);
  expect(outside.stdout).toMatch(/timed out|no servers could be reached/);
  expect(outside.stdout).not.toContain('10.86.0.20');
  expect((await run).stdout).toMatch(/^10\.86\.0\.20\n\d+\n$/);
});
