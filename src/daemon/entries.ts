import { join } from 'node:path';
import { ulid } from 'ulid';
import { z } from 'zod';
import { makeDirectory } from '../audit/state-directory.ts';
import { builtinServices } from '../policy/builtin.ts';
import { type DestPattern, formatDest, parseDest } from '../policy/dest.ts';
import type { LiveEntry } from '../policy/live.ts';
import { nearest } from '../policy/nearest.ts';
import type { Policy } from '../policy/policy.ts';
import { isFault } from '../policy/problem.ts';
import type { Entry, Who } from './answers.ts';
import { type CreateEntryBody, createEntryBody } from './contract.ts';
import { liveEntryOf } from './entry.ts';
import { DaemonFailure } from './failure.ts';
import type { Log } from './log.ts';
import type { Change } from './policy-event.ts';
import { Refusal } from './refusal.ts';
import { keeping, readIfPresent, writeDurably } from './state-file.ts';
import { formatWho } from './who.ts';

export interface EntriesOptions {
  /** The state directory. */
  readonly state: string;
  readonly log: Log;
  /** The policy in force; null: none. */
  readonly policy: () => { readonly id: string; readonly policy: Policy } | null;
  /** Puts the entries in force for runs in progress. If it throws, nothing has changed. */
  readonly change: (entries: readonly LiveEntry[]) => void | Promise<void>;
  /** Puts a change on record, once for each id; asked for while the entries are made, too. */
  readonly record: (change: Change, id: string) => void;
  /** Resolves when what was recorded so far is on disk, or is not waited for any more. */
  readonly recorded: () => Promise<unknown>;
  /** Milliseconds since 1970, and of a clock that nobody sets. */
  readonly clocks?: { readonly wall: () => number; readonly steady: () => number };
}

const MOST_ENTRIES = 256;
/** The wall clock may be set at any time: it is looked at so often at least. */
const LOOK_EVERY_MS = 10_000;
const FILE = 'entries.json';
const CLOCKS = { wall: () => Date.now(), steady: () => performance.now() };

const storedWho = z.object({ uid: z.int(), pid: z.int(), comm: z.string().nullable() });
const storedEntry = z.object({
  id: z.string(),
  verdict: createEntryBody.shape.verdict,
  destination: createEntryBody.shape.destination,
  deployment: z.string().nullable(),
  reason: z.string(),
  created: z.iso.datetime(),
  until: z.iso.datetime(),
  who: storedWho,
});
const storedChange = z.object({
  /** Of its event in the audit trail. */
  id: z.ulid(),
  what: z.enum(['entry-made', 'entry-removed', 'entry-lapsed']),
  entry: storedEntry,
  who: storedWho.nullable(),
  reason: z.string().nullable(),
});
const stored = z.object({
  v: z.literal(1),
  entries: z.array(storedEntry),
  /** What was done and may not be on record yet. */
  untold: z.array(storedChange).default([]),
});
type Untold = z.infer<typeof storedChange>;

interface Held {
  readonly entry: Entry;
  readonly dest: DestPattern;
  /** By the steady clock. */
  readonly ends: number;
}

/**
 * Live entries: kept in the state directory, lapsing by themselves. One lapses when the wall clock says so, or when as
 * much time has gone by as it was made for, so that a clock that is set back does not prolong it.
 */
export class Entries {
  readonly #options: EntriesOptions;
  readonly #file: string;
  readonly #clocks: typeof CLOCKS;
  #held: readonly Held[] = [];
  #untold: readonly Untold[] = [];
  #timer: NodeJS.Timeout | null = null;
  #started = false;
  /** What has lapsed is still in force for runs in progress: why. */
  #stuck: string | null = null;
  #busy: Promise<unknown> = Promise.resolve();

  /** Throws DaemonFailure `state-directory` and AuditFailure `unsafe-state`. Nothing lapses before `start`. */
  constructor(options: EntriesOptions) {
    this.#options = options;
    this.#clocks = options.clocks ?? CLOCKS;
    this.#file = join(options.state, FILE);
    const text = keeping('live entries', () => {
      makeDirectory(options.state);
      return readIfPresent(this.#file);
    });
    if (text !== null) this.#read(text);
    // A daemon that was killed may not have come to that.
    for (const untold of this.#untold) this.#record(untold);
    this.#expire();
  }

  /** Entries lapse from now on. */
  start(): void {
    this.#started = true;
    this.#wait();
    void this.#exclusively(() => this.#settle());
  }

  /** Nothing lapses any more; waits for what is being done. */
  async close(): Promise<void> {
    this.#started = false;
    this.#wait();
    await this.#busy;
  }

  /** In force, oldest first. */
  list(): readonly Entry[] {
    return this.#held.map(({ entry }) => entry);
  }

  /** In force, for the compiler. */
  live(): readonly LiveEntry[] {
    return this.#held.map(({ entry, dest }) => liveEntryOf(entry, dest));
  }

  /** What is wrong, for people. */
  get degraded(): readonly string[] {
    return this.#stuck === null ? [] : [`a live entry that has lapsed is still in force: ${this.#stuck}`];
  }

  /** What entries name that a policy does not have, so that they hold nothing; a line each. */
  doubts(policy: Policy): string[] {
    return this.#held.flatMap(({ entry: { verdict, destination, deployment }, dest }) => {
      const lost =
        dest.kind === 'service' && !hasService(policy, dest.service)
          ? `service ${dest.service}`
          : deployment !== null && !policy.deployments.has(deployment)
            ? `deployment ${deployment}`
            : null;
      return lost === null
        ? []
        : [`the live entry ${verdict} ${destination} holds nothing: there is no ${lost}`];
    });
  }

  /** Rejects with Refusal, and what `change` throws. */
  create(body: CreateEntryBody, who: Who): Promise<Entry> {
    return this.#exclusively(async () => {
      const { verdict, seconds, reason, deployment = null } = body;
      const dest = this.#destOf(body.destination);
      this.#checkDeployment(deployment);
      if (this.#held.length >= MOST_ENTRIES)
        throw new Refusal(
          'conflict',
          `there are ${MOST_ENTRIES} live entries, and no more can be`,
          'take some back',
        );
      const now = this.#clocks.wall();
      const entry: Entry = {
        ...{ id: ulid(), verdict, destination: formatDest(dest), deployment, reason },
        ...{ created: timeOf(now), until: timeOf(now + seconds * 1000), who },
      };
      const ends = this.#clocks.steady() + seconds * 1000;
      await this.#become([...this.#held, { entry, dest, ends }], {
        ...{ id: ulid(), what: 'entry-made', entry, who, reason },
      });
      return entry;
    });
  }

  /** Rejects with Refusal, and what `change` throws. */
  remove(id: string, who: Who): Promise<void> {
    return this.#exclusively(async () => {
      const found = this.#held.find(({ entry }) => entry.id === id);
      if (!found) throw new Refusal('not-found', 'there is no such entry', 'see acyclic allow --list');
      const left = this.#held.filter((held) => held !== found);
      await this.#become(left, { id: ulid(), what: 'entry-removed', entry: found.entry, who, reason: null });
    });
  }

  /** Keeps these, puts them in force and what was done on record; if they cannot be in force, all is as before. */
  async #become(next: readonly Held[], change: Untold): Promise<void> {
    const [before, untold] = [this.#held, this.#untold];
    this.#write(next, [...untold, change]);
    this.#held = next;
    try {
      await this.#options.change(this.live());
    } catch (error) {
      this.#held = before;
      this.#write(before, untold);
      throw error;
    }
    this.#stuck = null;
    this.#wait();
    this.#untold = [...untold, change];
    this.#tell(change);
    await this.#settle();
  }

  /** What was told is on disk, and need not be told again. If that cannot be kept it is, and the trail has it once. */
  async #settle(): Promise<void> {
    const told = this.#untold;
    if (told.length === 0) return;
    await this.#options.recorded();
    this.#untold = this.#untold.filter((change) => !told.includes(change));
    try {
      this.#write(this.#held, this.#untold);
    } catch (error) {
      this.#options.log.error({}, (error as Error).message);
    }
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => {});
    return done;
  }

  /** What lapses is over, whatever else fails: it is tried again until runs in progress go by it. */
  async #lapse(): Promise<void> {
    const some = this.#expire();
    if (!some && this.#stuck === null) return;
    try {
      await this.#options.change(this.live());
      this.#stuck = null;
    } catch (error) {
      this.#stuck = (error as Error).message;
      this.#options.log.error({}, `a live entry that has lapsed is still in force: ${this.#stuck}`);
    }
    await this.#settle();
  }

  #expire(): boolean {
    const [wall, steady] = [this.#clocks.wall(), this.#clocks.steady()];
    const over = ({ entry, ends }: Held) => Date.parse(entry.until) <= wall || ends <= steady;
    const lapsed = this.#held.filter(over);
    if (lapsed.length === 0) return false;
    this.#held = this.#held.filter((held) => !over(held));
    const changes = lapsed.map(({ entry }): Untold => {
      return { id: ulid(), what: 'entry-lapsed', entry, who: null, reason: null };
    });
    this.#untold = [...this.#untold, ...changes];
    try {
      this.#write(this.#held, this.#untold);
    } catch (error) {
      // Read again, it has lapsed all the same.
      this.#options.log.error({}, (error as Error).message);
    }
    for (const change of changes) this.#tell(change);
    return true;
  }

  #wait(): void {
    if (this.#timer) clearTimeout(this.#timer);
    if (!this.#started) return;
    const [wall, steady] = [this.#clocks.wall(), this.#clocks.steady()];
    const left = this.#held.map(({ entry, ends }) => Math.min(Date.parse(entry.until) - wall, ends - steady));
    const ms = Math.max(0, Math.min(LOOK_EVERY_MS, ...left));
    this.#timer = setTimeout(() => {
      void this.#exclusively(async () => {
        await this.#lapse();
        this.#wait();
      });
    }, ms).unref();
  }

  #destOf(text: string): DestPattern {
    const dest = parseDest(text);
    if (isFault(dest)) {
      const { message, suggestion } = dest;
      throw new Refusal(
        'bad-request',
        `destination: ${message}`,
        suggestion && `did you mean ${suggestion}?`,
      );
    }
    const policy = this.#options.policy()?.policy ?? null;
    if (dest.kind !== 'service' || hasService(policy, dest.service)) return dest;
    const meant = nearest(dest.service, [...builtinServices.keys(), ...(policy?.services.keys() ?? [])]);
    throw new Refusal(
      'bad-request',
      `destination: there is no service ${dest.service}`,
      meant ? `did you mean service:${meant}?` : 'define it under `services` in the policy',
    );
  }

  #checkDeployment(name: string | null): void {
    const policy = this.#options.policy()?.policy;
    if (name === null || !policy || policy.deployments.has(name)) return;
    const meant = nearest(name, [...policy.deployments.keys()]);
    throw new Refusal(
      'bad-request',
      `the policy has no deployment ${name}`,
      meant ? `did you mean ${meant}?` : 'leave it out for every deployment',
    );
  }

  #read(text: string): void {
    const kept = keptIn(text);
    if (!kept)
      throw new DaemonFailure(
        'state-directory',
        `${this.#file} is damaged, and which live entries are in force cannot be told`,
        'remove it, and make the entries anew',
      );
    const [wall, steady] = [this.#clocks.wall(), this.#clocks.steady()];
    this.#untold = kept.untold;
    this.#held = kept.entries.flatMap((entry): Held[] => {
      const dest = parseDest(entry.destination);
      if (isFault(dest)) return [];
      const [created, until] = [Date.parse(entry.created), Date.parse(entry.until)];
      // No longer than it was made for, if the clock was set back meanwhile.
      return [{ entry, dest, ends: steady + Math.min(until - wall, until - created) }];
    });
  }

  #write(held: readonly Held[], untold: readonly Untold[]): void {
    const text = JSON.stringify({ v: 1, entries: held.map(({ entry }) => entry), untold });
    keeping('live entries', () => writeDurably(this.#file, text));
  }

  #tell(untold: Untold): void {
    const { what, who, entry } = untold;
    this.#record(untold);
    const { id, verdict, deployment } = entry;
    this.#options.log.info({ entry: id, verdict, deployment, uid: who?.uid ?? null }, what);
  }

  #record({ id, what, who, reason, entry }: Untold): void {
    const { verdict, destination, deployment, until } = entry;
    const policy = this.#options.policy()?.id ?? null;
    const changes = [`${verdict} ${destination} until ${until}, by ${formatWho(entry.who)}`];
    this.#options.record({ what, who, reason, before: policy, changes, policy, deployment }, id);
  }
}

function keptIn(text: string): z.infer<typeof stored> | null {
  try {
    return stored.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function hasService(policy: Policy | null, name: string): boolean {
  return builtinServices.has(name) || policy?.services.has(name) === true;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
