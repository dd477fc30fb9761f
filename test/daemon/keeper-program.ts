/**
 * Applies policies and makes live entries without end, to be killed at any moment. usage: keeper-program.ts DIRECTORY
 * FROM. Says on standard output what it is about to do, and what is done: `policy N`, `policy N done`, `entry N`, ….
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { Entries } from '../../src/daemon/entries.ts';
import { createLog } from '../../src/daemon/log.ts';
import { PolicyKeeper } from '../../src/daemon/policy-keeper.ts';
import { changesOnRecord } from './changes-on-record.ts';
import { numbered } from './sample.ts';

const [, , directory = '', from = '1'] = process.argv;
const who = { uid: 0, pid: process.pid, comm: 'test' };
const state = join(directory, 'state');
const { record, recorded } = changesOnRecord(state);
const common = { state, log: createLog({ level: 'silent' }), record, recorded };
const keeper = new PolicyKeeper({ ...common, policy: join(directory, 'etc'), change: () => 0 });
const entries = new Entries({ ...common, policy: () => keeper.loaded, change: () => {} });
const say = (text: string) => writeSync(1, `${text}\n`);

for (let n = Number(from); ; n++) {
  say(`policy ${n}`);
  await keeper.apply(numbered(n), who, `${n}`);
  say(`policy ${n} done`);
  say(`entry ${n}`);
  const asked = { verdict: 'deny', destination: `h${n}.example`, seconds: 3600, reason: `${n}` } as const;
  await entries.create(asked, who);
  for (const { id } of entries.list().slice(0, -1)) await entries.remove(id, who);
  say(`entry ${n} done`);
}
