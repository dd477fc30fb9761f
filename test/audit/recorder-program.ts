/**
 * Records events until it is killed, or as many as it is told. usage: recorder-program.ts DIRECTORY RUN FIRST [COUNT]
 * Prints `acknowledged N` whenever all events below number N are on disk; with COUNT, at the end what became of all.
 */
import { AuditTrail } from '../../src/audit/trail.ts';
import { sampleEvent, sampleStart } from './sample-events.ts';

const [directory = '', run = '', first = '0', count] = process.argv.slice(2);
const say = (text: string) => process.stdout.write(`${text}\n`);
const trail = new AuditTrail({ directory, onNotice: (notice) => say(JSON.stringify(notice)) });
trail.record(sampleStart({ run }));

const end = count === undefined ? Number.POSITIVE_INFINITY : Number(first) + Number(count);
for (let next = Number(first); next < end; ) {
  for (const upTo = Math.min(end, next + 200); next < upTo; next++) trail.record(sampleEvent(next, { run }));
  await trail.flushed();
  say(`acknowledged ${next}`);
}
say(JSON.stringify(await trail.close()));
