/**
 * Whether this kernel tells whom a run's sockets are connected to, marks a use, and takes a fact: one line.
 * Every address of 10.20.0.0/16 must be local.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { atOnce } from '../../src/guard/slices.ts';
import { createCgroup, ownCgroup } from '../../src/kernel/cgroup.ts';
import { readConnections } from '../../src/kernel/connections.ts';
import { ensureBpffs } from '../../src/kernel/mounts.ts';
import { native } from '../../src/kernel/native.ts';
import { loadPrograms } from '../../src/kernel/programs.ts';
import { Tables } from '../../src/kernel/tables.ts';
import { EngineWords } from '../../src/kernel/words.ts';

const TCP = '10.20.0.1';
const PORT = 4430;
ensureBpffs();
const programs = await loadPrograms(['enforce']);
const run = createCgroup(ownCgroup(), 'acyclic-connections');
const words = new EngineWords(programs.map('engine'));
words.setLevels([run.level]);
words.setNetns(native().netnsCookie());
const tables = new Tables(programs);
const everything = [
  {
    ...({ protocol: 'tcp', from: 0, to: 65_535, answer: 'allow', opening: 'none' } as const),
    ...({ exempt: false, tiers: [], joint: false } as const),
  },
];
const all = {
  family: 4,
  text: '0.0.0.0/0',
  bytes: new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0]),
  length: 96,
} as const;
atOnce(tables.installPolicy(1, [{ prefix: all, answers: everything, elsewhere: null }]));
tables.setFactAnswers(1, 7, everything, null);
tables.setFact(run.id, TCP, 7);
tables.publish(run.id, 1, { mode: 'enforce', errno: 1, defaultDeny: false, reads: false });

const server = createServer();
server.listen(PORT, '0.0.0.0');
await once(server, 'listening');
programs.attach(run, 'connections', { modes: ['enforce'], closes: false });
writeFileSync(join(run.path, 'cgroup.procs'), String(process.pid));

const tcp = connect(PORT, TCP);
await once(tcp, 'connect');
const connected = createSocket('udp4');
connected.connect(PORT, '10.20.0.2');
await once(connected, 'connect');
const loose = createSocket('udp4');
await new Promise((resolve) => loose.send('x', PORT, '10.20.0.3', resolve));

const found = readConnections(programs)
  .filter((one) => one.run === run.id)
  .map(({ address }) => address)
  .sort();
const marked = (tables.factUsed(run.id, TCP) ?? 0) > 0;
const taken = (tables.takeFact(run.id, TCP) ?? 0) > 0 && tables.takeFact(run.id, TCP) === null;
process.stdout.write(`connections ${found.join(' ')}, marked ${marked}, taken ${taken}\n`);
programs.close();
process.exit(0);
