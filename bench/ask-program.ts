/** Asks a daemon ten times a second until its input ends, and prints the longest wait, in ms. usage: ask-program.ts SOCKET */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../src/daemon/client.ts';

const [socket = ''] = process.argv.slice(2);
const client = new Client(socket);
let [longest, on] = [0, true];
process.stdin.resume().once('end', () => {
  on = false;
});
while (on) {
  const start = performance.now();
  await client.request('GET', '/v1/policy/history');
  longest = Math.max(longest, performance.now() - start);
  await sleep(100);
}
process.stdout.write(`${Math.round(longest)}\n`);
