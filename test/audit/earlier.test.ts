import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { pastOfTrail } from '../../src/audit/past.ts';
import { AuditTrail } from '../../src/audit/trail.ts';
import { destinationsSeen } from '../../src/guard/earlier.ts';
import { sampleEvent, sampleSummary } from './sample-events.ts';

const EVENTS = 50_000;

test('who reads a long past lets others have their turn: a heartbeat that is late denies names to every run', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-earlier-'));
  try {
    const trail = new AuditTrail({ directory, onNotice: () => {} });
    for (let number = 0; number < EVENTS; number++) {
      trail.record(sampleEvent(number));
      if (number % 5000 === 0) await trail.flushed();
    }
    trail.record(sampleSummary(EVENTS));
    expect((await trail.close()).lost).toBe(0);
    let [last, longest] = [performance.now(), 0];
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const reading = Promise.all(
      Array.from({ length: 3 }, () => destinationsSeen(pastOfTrail(directory), 'mysql')),
    );
    for (const seen of await reading) expect(seen).not.toBeNull();
    await sleep(10);
    clearInterval(timer);
    expect(longest).toBeLessThan(150);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
