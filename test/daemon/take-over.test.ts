import { mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { HOSTED } from '../../src/daemon/run-record.ts';
import { pinDirectory } from '../../src/kernel/pins.ts';
import { until } from '../cli/harness.ts';
import { type Hosted, hostForAll, untilOver, untilStatus } from './host.ts';

let hosted: Hosted;
hostForAll((one) => {
  hosted = one;
});

// Also of a test that fails: no command goes on.
afterEach(() => {
  for (const name of ['stop', 'done']) hosted.place.file(name, '');
});

/** Calls what is denied whenever a file `callN` is there, and says in `saidN` how that went. */
const SCRIPT = `n=0; until [ -e stop ]; do
  if [ -e call$n ]; then
    (exec 3<>/dev/tcp/127.2.0.7/9) 2>/dev/null && echo reached > said || echo denied > said
    mv said said$n; n=$((n + 1))
  fi
  sleep 0.02
done`;

async function call(n: number): Promise<string> {
  hosted.place.file(`call${n}`, '');
  const said = `said${n}`;
  await until(() => readdirSync(hosted.place.directory).includes(said), 'the call is over');
  return hosted.place.bare(['cat', said]).stdout.trim();
}

test('a run that cannot be taken over is guarded as it was, is none of the daemon’s, and is taken over once it can be', async () => {
  const guest = hosted.guest(['bash', '-c', `cd ${hosted.place.directory}; ${SCRIPT}`]);
  const id = await guest.created;
  expect(await call(0)).toBe('denied');
  await hosted.kill();
  // One of its programs cannot be had: it is among the engine's runs by the time that is known.
  const pin = join(
    pinDirectory(id),
    readdirSync(pinDirectory(id)).find((name) => name.includes('sendmsg6')) ?? '',
  );
  rmSync(pin);
  mkdirSync(pin);
  await hosted.start();
  expect(await call(1)).toBe('denied');
  const status = await hosted.status();
  expect(status.runs.map((run) => run.id)).not.toContain(id);
  expect(status.degraded).toEqual(
    expect.arrayContaining([expect.stringContaining(`run ${id} goes on under its last policy`)]),
  );
  await untilStatus(
    hosted,
    ({ lost }) => (lost['of runs nobody took over'] ?? 0) > 0,
    'its records are nobody’s',
  );
  await hosted.kill();
  rmdirSync(pin);
  await hosted.start();
  expect((await hosted.status()).runs.map((run) => run.id)).toContain(id);
  expect(await call(2)).toBe('denied');
  hosted.place.file('stop', '');
  await guest.told;
  await untilOver(hosted, id);
});

test('of policies that were applied, those that runs go by are kept for who takes them over, and no others', async () => {
  const kept = () => readdirSync(join(HOSTED, 'policies'));
  rmSync(join(hosted.place.directory, 'done'), { force: true });
  const guest = hosted.guest([
    'bash',
    '-c',
    `cd ${hosted.place.directory}; until [ -e done ]; do sleep 0.02; done`,
  ]);
  const id = await guest.created;
  const before = kept();
  let last = '';
  for (let n = 0; n < 12; n++) {
    const text = `version: 1\nservices: { mysql: {} }\ndeployments: { mysql: { deny: [{ host: h${n}.example }] } }\n`;
    const body = { files: [{ path: 'acyclic.yaml', text }] };
    last = (await hosted.client.request<{ id: string }>('POST', '/v1/policy/apply', { body })).id;
  }
  expect(kept()).toContain(last);
  expect(kept().filter((id) => !before.includes(id)).length).toBeLessThanOrEqual(4);
  hosted.place.file('done', '');
  await guest.told;
  await untilOver(hosted, id);
});
