/**
 * Records events in a process of its own, so that its memory can be told. usage: record.ts DIRECTORY COUNT RATE
 * RATE is events offered a second; `max` offers them as they are taken, `flood` without regard to that, and `none`
 * makes them and records nothing. Prints one JSON object; `workerUs` is processor time of the writer an event.
 */
import { readFileSync } from 'node:fs';
import { AuditTrail } from '../src/audit/trail.ts';
import { sampleEvent, sampleStart } from '../test/audit/sample-events.ts';

const [directory = '', count = '0', rate = 'max'] = process.argv.slice(2);
const total = Number(count);
const TICK_MS = 10;
const CHUNK = 5000;
const FLOOD = 20_000;

const trail =
  rate === 'none' ? null : new AuditTrail({ directory, onNotice: (notice) => fail(JSON.stringify(notice)) });
let offered = 0;

function offer(upTo: number): void {
  for (; offered < Math.min(total, upTo); offered++) {
    const event = sampleEvent(offered);
    if (trail) trail.record(event);
    else JSON.stringify(event);
  }
}

function fail(text: string): never {
  throw new Error(text);
}

const tick = () => new Promise((resolve) => setTimeout(resolve, TICK_MS));

trail?.record(sampleStart());
await trail?.flushed();
const start = performance.now();
const elapsed = () => performance.now() - start;
const before: Promise<unknown>[] = [];
while (offered < total) {
  if (rate === 'max') {
    offer(offered + CHUNK);
    before.push(trail?.flushed() ?? Promise.resolve());
    if (before.length > 2) await before.shift();
  } else {
    offer(rate === 'flood' || rate === 'none' ? offered + FLOOD : (elapsed() / 1000) * Number(rate));
    await tick();
  }
}
const end = await trail?.close();
const seconds = elapsed() / 1000;
const busyUs = process.cpuUsage().user + process.cpuUsage().system;
const own = process.threadCpuUsage();
const workerUs = (busyUs - own.user - own.system) / total;
const [, peak = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
process.stdout.write(
  `${JSON.stringify({ perSecond: Math.round(total / seconds), lost: end?.lost ?? 0, peakMiB: Number(peak) / 1024, workerUs })}\n`,
);
