import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { ulid } from 'ulid';
import type { CreatedRun, EndedRun, RunState, StreamMessage } from '../../src/daemon/answers.ts';
import type { CreateRunBody, EndRunBody } from '../../src/daemon/contract.ts';
import type { HostMessage, Peer } from '../../src/daemon/host-interface.ts';
import { Refusal } from '../../src/daemon/refusal.ts';
import {
  type Cgroup,
  cgroupAt,
  cgroupOf,
  createCgroup,
  killAll,
  moveProcess,
  processesIn,
  removeCgroup,
} from '../../src/kernel/cgroup.ts';
import { findCgroup2 } from '../../src/kernel/mounts.ts';
import { presentTime } from '../../src/model/time.ts';

interface KeptRun {
  readonly state: RunState;
  readonly body: CreateRunBody;
  readonly path: string;
  readonly from: string;
  /** With an id, as they were said. */
  readonly said: StreamMessage[];
}

/** Runs that have a cgroup and no programs on it; they outlive the daemon in a file. */
export class StubRuns {
  readonly #file: string;
  readonly #deliver: (run: string, message: HostMessage) => void;
  readonly #runs: Map<string, KeptRun>;
  /** What goes wrong with the next command: it is refused, said to be moved and is not, or never answered. */
  fault: 'refuse' | 'leave' | 'hang' | 'untold' | null = null;

  constructor(file: string, deliver: (run: string, message: HostMessage) => void) {
    this.#file = file;
    this.#deliver = deliver;
    this.#runs = new Map(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : []);
  }

  get states(): RunState[] {
    return [...this.#runs.values()].map(({ state }) => state);
  }

  ownerOf(id: string): number | null | undefined {
    return this.#runs.get(id)?.state.uid;
  }

  create(peer: Peer, body: CreateRunBody): CreatedRun {
    if (body.allow.length > 0) throw new Refusal('loosens', `--allow ${body.allow[0]} loosens the policy`);
    const { deployment, labels, command } = body;
    const id = ulid();
    const from: Cgroup = cgroupAt(findCgroup2(), cgroupOf(peer.pid));
    const { path } = createCgroup(from, `acyclic-${id}`);
    const mode = body.mode ?? 'enforce';
    const state: RunState = {
      ...{ id, deployment, policy: '3f9c2a1', mode, labels, uid: peer.uid, started: presentTime() },
      ...{ comm: command[0] ?? null, command, calls: 0, denials: 0, would_deny: 0 },
    };
    this.#runs.set(id, { state, body, path, from: from.path, said: [] });
    this.#keep();
    return { id, deployment, mode, policy: '3f9c2a1', staged: null, warnings: ['stub'], unwatched: [] };
  }

  move(id: string, pid: number): void | Promise<void> {
    const { path } = this.#held(id);
    if (this.fault === 'refuse') throw new Refusal('conflict', 'the stub refuses');
    if (this.fault === 'hang') return new Promise(() => {});
    if (this.fault !== 'leave') moveProcess(pid, path);
  }

  /** Says a message to a run's readers; what has an id is kept. */
  say(message: StreamMessage, run: string = [...this.#runs.keys()].at(-1) ?? ''): void {
    const kept = this.#held(run);
    if (message.kind === 'event') kept.said.push(message);
    this.#keep();
    this.#deliver(run, this.#told(kept, message));
  }

  after(run: string, after: string): HostMessage[] {
    const kept = this.#runs.get(run);
    const messages = kept?.said.map((message) => this.#told(kept, message)) ?? [];
    return messages.filter(({ id }) => (id ?? '') > after);
  }

  end(id: string, { status, timedOut }: EndRunBody): EndedRun {
    const { state, body, path, from, said } = this.#held(id);
    const left = processesIn(path);
    if (body.leftover === 'kill') killAll(path);
    else for (const pid of left) moveProcess(pid, from);
    while (!removeCgroup(path)) processesIn(path);
    const denials = said.filter(
      (message) => message.kind === 'event' && message.event.verdict === 'deny',
    ).length;
    const found = status === 0 && body.failOn === 'deny' && denials > 0;
    const summary: EndedRun['summary'] = {
      ...{ v: 1, kind: 'summary', id: ulid(), time: presentTime(), host: 'stub', run: id },
      ...{ deployment: state.deployment, policy: state.policy, mode: state.mode, labels: body.labels },
      ...{
        calls: said.length + (this.fault === 'untold' ? 3 : 0),
        destinations: said.length,
        denials,
        would_deny: 0,
        cycles: [],
        lost: {},
      },
      ...{ waiting: [], traffic: [], staged: null, new_destinations: null, duration_ms: 1, limits: null },
      exit: { command: status, acyclic: timedOut ? 124 : found ? 122 : (status ?? 0) },
      leftover: left.map((pid) => ({ pid, comm: 'left', argv: null })),
    };
    this.say({ kind: 'ended', summary }, id);
    this.#runs.delete(id);
    this.#keep();
    return { summary };
  }

  #held(id: string): KeptRun {
    const kept = this.#runs.get(id);
    if (!kept) throw new Refusal('not-found', `there is no run ${id} in progress`);
    return kept;
  }

  #told({ state }: KeptRun, message: StreamMessage): HostMessage {
    return { id: message.kind === 'event' ? message.event.id : null, owner: state.uid, message };
  }

  #keep(): void {
    writeFileSync(this.#file, JSON.stringify([...this.#runs]));
  }
}
