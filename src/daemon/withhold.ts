import type { AuditEvent } from '../model/event.ts';
import type { ProcessImage } from '../model/process.ts';
import type { RunSummary } from '../model/summary.ts';
import type { RunState, StreamMessage } from './answers.ts';
import type { HostMessage, Peer } from './host-interface.ts';

/** A stream's message as a peer may see it: command lines of other users' runs are withheld. JSON, a line. */
export function tellMessage(peer: Peer, told: HostMessage): string {
  const whole = peer.uid === 0 || told.owner === peer.uid;
  const texts = TEXTS.get(told) ?? {};
  TEXTS.set(told, texts);
  if (whole) {
    texts.whole ??= JSON.stringify(told.message);
    return texts.whole;
  }
  texts.withheld ??= JSON.stringify(withhold(told.message));
  return texts.withheld;
}

/** Each message is put into text once for all its readers, in either form. */
const TEXTS = new WeakMap<HostMessage, { whole?: string; withheld?: string }>();

/** Runs as a peer may see them. */
export function tellRuns(peer: Peer, runs: readonly RunState[]): RunState[] {
  return runs.map((run) => (peer.uid === 0 || run.uid === peer.uid ? run : withoutCommand(run)));
}

function withhold(message: StreamMessage): StreamMessage {
  switch (message.kind) {
    case 'denied':
    case 'event':
      return { ...message, event: withoutArguments(message.event) };
    case 'started':
      return { ...message, run: withoutCommand(message.run) };
    case 'ended':
      return { ...message, summary: withoutLeftArguments(message.summary) };
    case 'guard-lost':
    case 'cut':
      return message;
  }
}

function withoutCommand(run: RunState): RunState {
  return { ...run, command: null };
}

function withoutArguments(event: AuditEvent): AuditEvent {
  const bare = <Image extends ProcessImage>(image: Image): Image => ({ ...image, argv: null });
  const { process } = event;
  return { ...event, process: process && { ...bare(process), ancestry: process.ancestry.map(bare) } };
}

function withoutLeftArguments(summary: RunSummary): RunSummary {
  return { ...summary, leftover: summary.leftover.map((left) => ({ ...left, argv: null })) };
}
