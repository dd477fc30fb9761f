/**
 * What JavaScript keeps of a daemon that was asked for its inspector (SIGUSR1), in whose network namespace this runs:
 * for each line of standard input the bytes in use after a collection of garbage.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const PORT = 9229;

async function inspector(): Promise<string> {
  for (let tries = 1; ; tries++) {
    try {
      const targets = await (await fetch(`http://127.0.0.1:${PORT}/json/list`)).json();
      return (targets as { webSocketDebuggerUrl: string }[])[0]?.webSocketDebuggerUrl ?? '';
    } catch (error) {
      if (tries === 50) throw error;
      await sleep(100);
    }
  }
}

const socket = new WebSocket(await inspector());
const waiting = new Map<number, (result: unknown) => void>();
let asked = 0;
socket.addEventListener('message', ({ data }) => {
  const { id, result } = JSON.parse(String(data));
  waiting.get(id)?.(result);
  waiting.delete(id);
});
const ask = (method: string, params: object = {}) =>
  new Promise((resolve) => {
    waiting.set(++asked, resolve);
    socket.send(JSON.stringify({ id: asked, method, params }));
  });
await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));
for await (const _ of createInterface(process.stdin)) {
  await ask('HeapProfiler.collectGarbage');
  const told = await ask('Runtime.evaluate', { expression: 'process.memoryUsage().heapUsed' });
  process.stdout.write(`${(told as { result: { value: number } }).result.value}\n`);
}
socket.close();
