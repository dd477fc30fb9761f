/**
 * A run through the daemon, step by step. usage: guest-program.ts SOCKET BODY COMMAND..., BODY being what differs from
 * a plain request, and `die`: the step after which it kills itself, `inherit`: an address it connects to, for the
 * command to have the socket as descriptor 3. Says what came of it, as JSON on its last line.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { CreatedRun, EndedRun, StreamMessage } from '../../src/daemon/answers.ts';
import { Client } from '../../src/daemon/client.ts';
import { plainRequest } from './plain-request.ts';

const [socket = '', text = '{}', ...command] = process.argv.slice(2);
const { die, inherit, ...asked } = JSON.parse(text);
const client = new Client(socket);
const messages: StreamMessage[] = [];
const say = (what: object) => process.stdout.write(`\n${JSON.stringify(what)}\n`);
const step = (name: string) => {
  if (die === name) process.kill(process.pid, 'SIGKILL');
};

try {
  const created = await client.request<CreatedRun>('POST', '/v1/runs', {
    body: plainRequest(command, asked),
  });
  say({ created });
  step('created');
  // Held until it is in the run's cgroup, and its input ends with this process.
  const child = spawn('/bin/sh', ['-c', 'read go && exec "$@"', 'sh', ...command], {
    stdio: ['pipe', 'pipe', 'inherit', ...(inherit === undefined ? [] : [await connected(inherit)])],
  });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (data) => {
    output += data;
  });
  const reading = (async () => {
    for await (const { message } of client.events(`/v1/runs/${created.id}/events`)) messages.push(message);
  })();
  await client.request('POST', `/v1/runs/${created.id}/command`, { body: { pid: child.pid } });
  child.stdin?.write('\n');
  step('moved');
  const status = await new Promise((resolve) => child.once('close', resolve));
  const { summary } = await client.request<EndedRun>('POST', `/v1/runs/${created.id}/end`, {
    body: { status, timedOut: false },
  });
  await reading;
  say({ created, summary, status, output, messages });
} catch (error) {
  const { code, message, remedy } = error as Error & { code?: string; remedy?: string };
  say({ code, message, remedy });
  process.exit();
}

async function connected(address: string): Promise<Socket> {
  const socket = connect(9, address);
  await once(socket, 'connect');
  return socket;
}
