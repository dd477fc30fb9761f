import type { Socket } from 'node:net';
import { FrameReader, frame } from './frame.ts';

/** Bytes; queries are a header, one name and one OPT record. */
const MAX_QUERY = 4096;
/** Queries of one connection under way; the rest wait in the socket. */
const MAX_PIPELINED = 32;
const IDLE_MS = 10_000;
/** Unread answers held for a client before it is cut off, bytes. */
const MAX_UNREAD = 1 << 20;

/**
 * Answers the queries of one TCP connection as their answers come, in any order (RFC 7766 §6.2.1.1), until the
 * client ends, stays idle or breaks the framing. `answer` never rejects; null closes the connection.
 */
export function serveConnection(
  socket: Socket,
  answer: (packet: Buffer) => Promise<Uint8Array | null>,
  cutOff: () => void,
): void {
  const reader = new FrameReader(MAX_QUERY);
  const waiting: Buffer[] = [];
  let underWay = 0;
  let ended = false;

  const cut = (): void => {
    cutOff();
    socket.destroy();
  };
  const handle = async (packet: Buffer): Promise<void> => {
    underWay += 1;
    const bytes = await answer(packet);
    underWay -= 1;
    if (socket.destroyed) return;
    if (bytes === null || socket.writableLength > MAX_UNREAD) return cut();
    socket.write(frame(bytes));
    pump();
  };
  const pump = (): void => {
    while (underWay < MAX_PIPELINED && !socket.destroyed) {
      const packet = waiting.shift();
      if (packet === undefined) break;
      void handle(packet);
    }
    if (waiting.length > 0) socket.pause();
    else if (ended && underWay === 0) socket.end();
    else socket.resume();
  };

  socket.setTimeout(IDLE_MS, cut);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    const packets = reader.push(chunk);
    if (packets === null) return cut();
    waiting.push(...packets);
    pump();
  });
  socket.on('end', () => {
    ended = true;
    pump();
  });
}
