import { ulid } from 'ulid';
import { type LoadedPolicy, loadFiles, loadPolicy } from '../guard/policy-files.ts';
import { PolicyFailure, type PolicyFile, readTexts } from '../guard/policy-texts.ts';
import { pause } from '../guard/slices.ts';
import type { AppliedPolicy, PolicyAnswer, PolicyHistory, PolicyVersion, Who } from './answers.ts';
import type { Log } from './log.ts';
import { changesOf } from './policy-changes.ts';
import { PolicyDirectory, type PolicyText } from './policy-directory.ts';
import type { Change } from './policy-event.ts';
import { type ComparedPolicy, loadBeside } from './policy-loading.ts';
import { DONE, PolicyVersions, type Version, type VersionHead } from './policy-versions.ts';
import { watchDirectories } from './policy-watch.ts';
import { Refusal } from './refusal.ts';
import { keeping } from './state-file.ts';

export interface PolicyKeeperOptions {
  /** The policy directory, or one policy file. */
  readonly policy: string;
  /** The state directory. */
  readonly state: string;
  readonly log: Log;
  /** Puts a policy in force for runs in progress; gives how many. If it throws, nothing has changed. Null: none. */
  readonly change: (policy: LoadedPolicy | null) => number | Promise<number>;
  /** Puts a change on record, once for each id; asked for while the keeper is made, too. */
  readonly record: (change: Change, id: string) => void;
  /** Resolves when what was recorded so far is on disk, or is not waited for any more. */
  readonly recorded: () => Promise<unknown>;
  /** What is doubtful about a policy here, a line each, besides what it says itself. */
  readonly doubts?: (policy: LoadedPolicy) => readonly string[];
}

type By = PolicyVersion['by'];
type Asked = { readonly by: By; readonly who: Who | null; readonly reason: string | null };

/** What is done now, one thing after the other; and what is in force. */
export class PolicyKeeper {
  readonly #options: PolicyKeeperOptions;
  readonly #directory: PolicyDirectory;
  readonly #versions: PolicyVersions;
  #loaded: LoadedPolicy | null = null;
  #applied: string | null = null;
  /** The version in force; 0: none. */
  #seq = 0;
  /** Why the policy directory is not what is in force; null: it is. */
  #fault: string | null = null;
  #errors = 0;
  /** The state of the directory that was looked at last. */
  #seen = '';
  #busy: Promise<unknown> = Promise.resolve();
  #stopWatching: (() => void) | null = null;

  /**
   * Loads the policy directory. One that does not load leaves the last good policy in force, from the state directory;
   * where there is none, throws PolicyFailure: what was to be guarded is not quietly observed. No policy at all and
   * none before: observe. Throws DaemonFailure `state-directory`, AuditFailure `unsafe-state`.
   */
  constructor(options: PolicyKeeperOptions) {
    this.#options = options;
    this.#directory = new PolicyDirectory(options.policy);
    this.#versions = keeping('policies', () => new PolicyVersions(options.state));
    this.#start();
  }

  /** The policy in force; null: none, runs are observed. */
  get loaded(): LoadedPolicy | null {
    return this.#loaded;
  }

  /** When it took effect. */
  get applied(): string | null {
    return this.#applied;
  }

  /** The file or directory it is kept in. */
  get source(): string {
    return this.#directory.path;
  }

  /** Policies that did not load since the daemon started. */
  get errors(): number {
    return this.#errors;
  }

  /** What is wrong, for people. */
  get degraded(): readonly string[] {
    return this.#fault === null ? [] : [this.#fault];
  }

  /** Looks after the policy directory from now on. */
  watch(): void {
    this.#stopWatching ??= watchDirectories(
      () => this.#directory.watched,
      () => void this.#exclusively(() => this.#look()),
    );
  }

  /** Stops watching, and waits for what is being done. */
  async close(): Promise<void> {
    this.#stopWatching?.();
    this.#stopWatching = null;
    await this.#busy;
  }

  /** Puts these files in force and into the policy directory, in place of all it has. */
  apply(files: readonly PolicyText[], who: Who, reason: string | null): Promise<AppliedPolicy> {
    return this.#exclusively(() => this.#install(files, { by: 'apply', who, reason }));
  }

  /** Reads the policy directory again. Rejects with PolicyFailure where it does not load. */
  reload(who: Who | null): Promise<AppliedPolicy> {
    return this.#exclusively(() => this.#reload({ by: 'reload', who, reason: null }));
  }

  /** Puts an earlier policy in force, and into the policy directory. `to`: as its id begins; null: the one before. */
  rollback(to: string | null, who: Who, reason: string | null): Promise<AppliedPolicy> {
    return this.#exclusively(() => {
      const version = this.#versions.read(this.#find(to).seq);
      if (!version) throw new Refusal('not-found', 'that version cannot be read', 'apply the policy anew');
      return this.#install(version.files, { by: 'rollback', who, reason });
    });
  }

  history(): PolicyHistory {
    const versions = this.#versions.heads.map(
      ({ seq, id, applied, by, who, reason, changes }): PolicyVersion => ({
        ...{ id, applied, inForce: seq === this.#seq, by, who, reason, changes: changes ?? [] },
      }),
    );
    return { versions: versions.reverse() };
  }

  answer(): Omit<PolicyAnswer, 'inForce'> {
    const { files = [], id = null } = this.#loaded ?? {};
    return {
      ...{ id, source: id === null ? null : this.source, applied: this.#applied },
      files: files.map(({ name, text }) => ({ path: name, text })),
    };
  }

  #exclusively<T>(work: () => T | Promise<T>): Promise<T> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => {});
    return done;
  }

  #start(): void {
    const { log } = this.#options;
    const current = keeping('policies', () => this.#versions.current);
    // Killed while it wrote the policy directory: what was decided is done.
    if (current && this.#versions.isInstalling)
      keeping('the policy directory', () => this.#directory.install(current.files));
    this.#seen = this.#directory.signature();
    let loaded: LoadedPolicy | null = null;
    try {
      if (this.#directory.signature() !== '') loaded = loadPolicy(this.#directory.path);
      else if (current) this.#complain(`${this.source} holds no policy`);
    } catch (error) {
      if (!(error instanceof PolicyFailure) || !current) throw error;
      this.#complain(error.message);
    }
    if (!loaded && !current) return;
    const last = current && this.#lastGood(current.files, loaded !== null);
    const kept = loaded ?? last;
    if (!kept) return;
    this.#loaded = kept;
    this.#applied = current?.applied ?? null;
    this.#seq = current?.seq ?? 0;
    if (current && !this.#versions.isDone) this.#recordLate(current, last);
    if (current?.id === kept.id) return;
    const changes = changesOf(last?.policy ?? null, kept.policy, new Date());
    const asked = { by: 'start', who: null, reason: null } as const;
    const version = keeping('policies', () => this.#add(kept, asked, changes, null));
    keeping('policies', () => this.#versions.point(version.seq, { installing: false, recorded: false }));
    this.#enter(kept, version);
    this.#record(version, changes, last?.id ?? null);
    this.#finish(version);
    log.info({ policy: kept.id }, 'the policy in force');
  }

  /** Puts on record what a daemon that was killed had put in force, if it had not yet; compares, if it had not. */
  #recordLate(current: Version, policy: LoadedPolicy | null): void {
    const head = this.#versions.heads.findLast(({ seq }) => seq < current.seq);
    let { changes } = current;
    if (!changes) {
      const before = head && this.#lastGood(this.#versions.read(head.seq)?.files ?? [], true);
      const compared = policy ? changesOf(before?.policy ?? null, policy.policy, new Date()) : [];
      keeping('policies', () => this.#versions.tell(current, compared));
      changes = compared;
    }
    this.#record(current, changes, head?.id ?? null);
    this.#finish(current);
  }

  /** Nothing is left to do for a version, once its event is on disk. */
  #finish(version: Version): void {
    void this.#exclusively(async () => {
      await this.#options.recorded();
      if (this.#seq === version.seq) this.#conclude(version, null);
    });
  }

  /** The policy last in force; null: it does not load any more, and another one does. */
  #lastGood(files: readonly PolicyText[], spare: boolean): LoadedPolicy | null {
    try {
      return loadFiles(this.source, this.#directory.placed(files));
    } catch (error) {
      if (!(error instanceof PolicyFailure) || !spare) throw error;
      return null;
    }
  }

  /** The newest version that is meant. Throws Refusal. */
  #find(to: string | null): VersionHead {
    const heads = this.#versions.heads.toReversed();
    const now = this.#loaded?.id;
    if (to === null) {
      const before = heads.find(({ id, seq }) => seq < this.#seq && id !== now);
      if (before) return before;
      throw new Refusal('not-found', 'there is no policy before this one', 'see acyclic policy history');
    }
    const found = heads.filter(({ id }) => id.startsWith(to) || to.startsWith(id));
    const ids = [...new Set(found.map(({ id }) => id))];
    const [newest] = found;
    if (!newest)
      throw new Refusal(
        'not-found',
        `no version of the policy has the id ${to}`,
        'see acyclic policy history',
      );
    if (ids.length > 1)
      throw new Refusal(
        'conflict',
        `${to} begins the ids of several versions: ${ids.join(', ')}`,
        'give more of it',
      );
    return newest;
  }

  async #install(texts: readonly PolicyText[], asked: Asked): Promise<AppliedPolicy> {
    const files = this.#texts(texts);
    const compared = await this.#load(this.#directory.placed(files));
    const { loaded } = compared;
    const found = keeping('the policy directory', () => this.#directory.read());
    const replaced = sameTexts(found, this.#texts(this.#loaded?.files.map(asText) ?? [])) ? null : found;
    if (this.#isInForce(loaded)) {
      if (replaced) keeping('the policy directory', () => this.#directory.install(files));
      this.#seen = this.#directory.signature();
      this.#fault = null;
      const put = replaced ? [`${this.source} did not hold the policy in force; it does again`] : [];
      return this.#answer(loaded, this.#loaded?.id ?? null, {
        changed: false,
        changes: [],
        runs: 0,
        also: put,
      });
    }
    return this.#adopt(compared, asked, { files, found, replaced });
  }

  /** One file is kept under its own name, whatever it was sent as. */
  #texts(texts: readonly PolicyText[]): readonly PolicyText[] {
    const [only, ...others] = texts;
    if (!this.#directory.isFile || !only) return texts;
    if (others.length === 0) return [{ ...only, path: this.source.slice(this.source.lastIndexOf('/') + 1) }];
    throw new Refusal(
      'conflict',
      `the daemon keeps its policy in one file, ${this.source}, and ${texts.length} were sent`,
      'send one, or start the daemon with a directory for --policy',
    );
  }

  async #reload(asked: Asked): Promise<AppliedPolicy> {
    this.#seen = this.#directory.signature();
    let compared: ComparedPolicy;
    try {
      compared = await this.#load(readTexts(this.source));
    } catch (error) {
      if (error instanceof PolicyFailure) this.#complain(error.message);
      throw error;
    }
    this.#fault = null;
    const { loaded } = compared;
    if (!this.#isInForce(loaded)) return this.#adopt(compared, asked, null);
    return this.#answer(loaded, loaded.id, { changed: false, changes: [], runs: 0, also: [] });
  }

  #load(files: readonly PolicyFile[]): Promise<ComparedPolicy> {
    return loadBeside(this.source, files, this.#loaded);
  }

  /** Follows the policy directory where it has changed; what does not load is told once. */
  async #look(): Promise<void> {
    if (this.#directory.signature() === this.#seen) return;
    try {
      await this.#reload({ by: 'files', who: null, reason: null });
    } catch (error) {
      if (error instanceof PolicyFailure) return;
      this.#complain((error as Error).message);
    }
  }

  /**
   * Puts a policy in force: it is kept, written to the policy directory where it did not come from there, and handed
   * on. If any of that fails, all is as before. What it means otherwise is found out meanwhile.
   */
  async #adopt(
    { loaded, changes: comparing }: ComparedPolicy,
    asked: Asked,
    to: { files: readonly PolicyText[]; found: readonly PolicyText[]; replaced: PolicyText[] | null } | null,
  ): Promise<AppliedPolicy> {
    const before = this.#loaded?.id ?? null;
    await pause();
    const version = keeping('policies', () => this.#add(loaded, asked, null, to?.replaced ?? null));
    const { seq } = version;
    let runs: number;
    try {
      await pause();
      keeping('policies', () => this.#versions.point(seq, { installing: to !== null, recorded: false }));
      await pause();
      if (to) {
        keeping('the policy directory', () => this.#directory.install(to.files));
        this.#seen = this.#directory.signature();
        await pause();
      }
      runs = await this.#options.change(loaded);
    } catch (error) {
      this.#undo(seq, to?.found ?? null);
      throw error;
    }
    this.#enter(loaded, version);
    this.#fault = null;
    const changes = await comparing;
    this.#record(version, changes, before);
    await this.#options.recorded();
    this.#conclude(version, changes);
    return this.#answer(loaded, before, { changed: true, changes, runs, also: [] });
  }

  /** What is left of a change that is in force and on record: if it fails, the next start of the daemon does it. */
  #conclude(version: Version, changes: string[] | null): void {
    try {
      if (changes) this.#versions.tell(version, changes);
      this.#versions.point(version.seq, DONE);
      this.#versions.prune();
    } catch (error) {
      this.#options.log.error({ policy: version.id }, `cannot keep policies: ${(error as Error).message}`);
    }
  }

  #undo(seq: number, found: readonly PolicyText[] | null): void {
    try {
      if (found) this.#directory.install(found);
      this.#versions.takeBack(seq, this.#seq);
    } catch (error) {
      this.#complain(`${this.source} could not be put back as it was: ${(error as Error).message}`);
    }
    this.#seen = this.#directory.signature();
  }

  #add(loaded: LoadedPolicy, asked: Asked, changes: string[] | null, replaced: PolicyText[] | null): Version {
    const files = loaded.files.map(asText);
    return this.#versions.add({
      ...{ id: loaded.id, applied: new Date().toISOString(), ...asked },
      ...{ changes, event: ulid(), files, replaced },
    });
  }

  #enter(loaded: LoadedPolicy, { seq, applied }: Version): void {
    this.#loaded = loaded;
    this.#seq = seq;
    this.#applied = applied;
  }

  #record({ by, who, reason, id, event }: Version, changes: string[], before: string | null): void {
    const change = { what: by, who, reason, before, changes, policy: id, deployment: null };
    this.#options.record(change, event ?? ulid());
    this.#options.log.info({ by, uid: who?.uid ?? null, before, policy: id }, 'another policy is in force');
  }

  #answer(
    loaded: LoadedPolicy,
    before: string | null,
    { also, ...rest }: Pick<AppliedPolicy, 'changed' | 'changes' | 'runs'> & { also: readonly string[] },
  ): AppliedPolicy {
    const doubts = this.#options.doubts?.(loaded) ?? [];
    return { id: loaded.id, before, ...rest, warnings: [...doubts, ...also] };
  }

  /** What its deployments stage may be another, too. */
  #isInForce(loaded: LoadedPolicy): boolean {
    return this.#loaded !== null && identity(this.#loaded) === identity(loaded);
  }

  #complain(why: string): void {
    this.#errors += 1;
    this.#fault = `the last good policy stays in force: ${why}`;
    this.#options.log.error({ policy: this.source, problems: why.split('\n') }, 'the policy does not load');
  }
}

function identity({ id, staged }: LoadedPolicy): string {
  return JSON.stringify([id, [...staged].map(([deployment, other]) => [deployment, other.id])]);
}

function asText({ name, text }: { readonly name: string; readonly text: string }): PolicyText {
  return { path: name, text };
}

function sameTexts(one: readonly PolicyText[], other: readonly PolicyText[]): boolean {
  const texts = new Map(one.map(({ path, text }) => [path, text]));
  return one.length === other.length && other.every(({ path, text }) => texts.get(path) === text);
}
