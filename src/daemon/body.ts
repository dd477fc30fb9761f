import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { Refusal } from './refusal.ts';

/** The body of a request, of at most `most` bytes, as its schema has it; nothing at all is `{}`. Throws Refusal. */
export async function readBody<T>(incoming: IncomingMessage, most: number, schema: z.ZodType<T>): Promise<T> {
  const bytes = await readBytes(incoming, most);
  let given: unknown;
  try {
    given = bytes.length === 0 ? {} : JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new Refusal('bad-request', 'the body is no JSON', 'see docs/api.md');
  }
  const { success, data, error } = schema.safeParse(given);
  if (success) return data;
  const [issue] = error.issues;
  const where = issue?.path.join('.') || 'the body';
  throw new Refusal(
    'bad-request',
    `${where}: ${issue?.message ?? 'is not as it must be'}`,
    'see docs/api.md',
  );
}

/**
 * Stops keeping at `most`. @hono/node-server then reads on for half a second and keeps nothing, so that the sender
 * comes to read why, and ends the connection.
 */
function readBytes(incoming: IncomingMessage, most: number): Promise<Buffer> {
  const tooLarge = () => new Refusal('too-large', `the body is over ${most} bytes`);
  return new Promise((resolve, reject) => {
    if (Number(incoming.headers['content-length'] ?? 0) > most) return reject(tooLarge());
    const pieces: Buffer[] = [];
    let length = 0;
    const onData = (piece: Buffer) => {
      length += piece.length;
      pieces.push(piece);
      if (length <= most) return;
      incoming.off('data', onData);
      incoming.pause();
      reject(tooLarge());
    };
    incoming.on('data', onData);
    incoming.once('end', () => resolve(Buffer.concat(pieces)));
    incoming.once('close', () => reject(new Refusal('bad-request', 'the body ends before its end')));
    incoming.once('error', reject);
  });
}
