import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Act, mayDo, type Permission, subjectsOf } from '../policy/may.ts';
import type { Policy, Subject } from '../policy/policy.ts';
import { writtenSubject } from '../policy/roles.ts';
import type { Peer } from './host-interface.ts';

const LOOKUP_MS = 5000;
/** Ids are looked up again when they are asked for and older than this: a group may be made after the policy. */
const FRESH_MS = 60_000;
/** Asked for at once: a directory that does not answer is waited for that much shorter. */
const AT_ONCE = 16;

/** Ids of users and groups by name; null: there is none of that name. */
export type LookUp = (subject: Subject) => Promise<number | null>;

/** What policy's roles say of who asks, by the ids the host's names have. */
export class Permissions {
  readonly #policy: Policy | null;
  readonly #lookUp: LookUp;
  readonly #subjects: readonly Subject[];
  #ids = new Map<string, number | null>();
  #until = 0;
  #refreshing: Promise<void> | null = null;

  private constructor(policy: Policy | null, lookUp: LookUp) {
    this.#policy = policy;
    this.#lookUp = lookUp;
    this.#subjects = subjectsOf(policy);
  }

  /** Of a policy, with its names looked up. */
  static async of(policy: Policy | null, lookUp: LookUp = lookUpByGetent): Promise<Permissions> {
    const permissions = new Permissions(policy, lookUp);
    await permissions.refresh();
    return permissions;
  }

  /** Whom roles name and the host does not know, as the policy has them: nobody is that, for now. */
  get unknown(): string[] {
    return [...this.#ids].flatMap(([name, id]) => (id === null ? [name] : []));
  }

  /** Whether a peer who is no root, and a member, may. */
  may(peer: Peer, act: Act): Permission {
    if (performance.now() > this.#until) void this.refresh();
    return mayDo(this.#policy, (subject) => this.#is(peer, subject), act);
  }

  /** Looks all names up again. What cannot be looked up keeps its id. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#look().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #look(): Promise<void> {
    this.#until = performance.now() + FRESH_MS;
    const ids = new Map<string, number | null>();
    const waiting = [...this.#subjects];
    const work = async () => {
      for (let subject = waiting.pop(); subject; subject = waiting.pop()) {
        const name = writtenSubject(subject);
        ids.set(name, await this.#lookUp(subject).catch(() => this.#ids.get(name) ?? null));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    this.#ids = ids;
  }

  #is({ uid, gid, groups }: Peer, subject: Subject): boolean {
    const id = this.#ids.get(writtenSubject(subject)) ?? null;
    if (id === null) return false;
    return subject.kind === 'user' ? uid === id : gid === id || groups.includes(id);
  }
}

const run = promisify(execFile);
/** getent(1): the name is not in the database. */
const NOT_FOUND = 2;

/** Wherever the host keeps its users and groups. Rejects where that does not answer. */
export async function lookUpByGetent({ kind, name }: Subject): Promise<number | null> {
  const database = kind === 'user' ? 'passwd' : 'group';
  try {
    const { stdout } = await run('/usr/bin/getent', [database, '--', name], { env: {}, timeout: LOOKUP_MS });
    const id = /^[^:\n]*:[^:\n]*:(\d{1,10}):/.exec(stdout)?.[1];
    return id === undefined ? null : Number(id);
  } catch (error) {
    if ((error as { code?: unknown }).code === NOT_FOUND) return null;
    throw error;
  }
}
