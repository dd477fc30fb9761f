import type { Act } from '../policy/may.ts';
import type * as answers from './answers.ts';
import type * as bodies from './contract.ts';

export type { Act };

/** Who is at the other end of a connection, as the kernel says: by SO_PEERCRED and SO_PEERGROUPS. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/** A message of the stream, and whose run it is of. */
export interface HostMessage {
  /** The event's id, by which a stream is taken up again; null for what is not kept. */
  readonly id: string | null;
  /** Who started the run; null where that is nobody, so that only root sees it whole. */
  readonly owner: number | null;
  readonly message: answers.StreamMessage;
}

/** Numbers for `/metrics`, as they are now. */
export interface Measures {
  readonly runs: number;
  /** Since the daemon started, by verdict. */
  readonly calls: { readonly allow: number; readonly deny: number; readonly 'would-deny': number };
  /** Since the daemon started, by cause. */
  readonly lost: Readonly<Record<string, number>>;
  /** Records that wait in the spool. */
  readonly spooled: number;
  /** Policies that did not load since the daemon started. */
  readonly policyErrors: number;
  /** `until`: seconds since 1970. */
  readonly waivers: readonly {
    readonly deployment: string;
    readonly service: string;
    readonly until: number;
  }[];
}

type Answer<T> = T | Promise<T>;

/**
 * What the server serves: one method a route. The server has read the body, and asked `access` whether the peer may.
 * A method refuses by throwing a Refusal, or an error of the layers below with `code` and `remedy`. Runs are named by
 * their full id.
 */
export interface Host {
  /** What policy's roles say; root is never asked about. Members may run; the rest is root's, unless a role says so. */
  may(peer: Peer, act: Act): boolean;
  /** The uid that started a run that is known; null: nobody did. Undefined: there is no such run. */
  ownerOf(run: string): number | null | undefined;

  status(): Answer<answers.Status>;
  measures(): Measures;

  runs(): Answer<readonly answers.RunState[]>;
  /** `present` throws when the peer is no longer there, so that its pid may be another's. */
  createRun(peer: Peer, body: bodies.CreateRunBody, present: () => void): Answer<answers.CreatedRun>;
  /**
   * Moves a process into a run's cgroup. `stillSame` reads again whether the pid is still the process that was
   * checked to be the peer's own: to be asked after the move, which goes by pid.
   */
  moveCommand(peer: Peer, run: string, pid: number, stillSame: () => boolean): Answer<void>;
  endRun(peer: Peer, run: string, body: bodies.EndRunBody): Answer<answers.EndedRun>;

  applyPolicy(peer: Peer, body: bodies.ApplyPolicyBody): Answer<answers.AppliedPolicy>;
  reloadPolicy(peer: Peer): Answer<answers.AppliedPolicy>;
  rollbackPolicy(peer: Peer, body: bodies.RollbackPolicyBody): Answer<answers.AppliedPolicy>;
  policy(): Answer<answers.PolicyAnswer>;
  policyHistory(): Answer<answers.PolicyHistory>;

  createEntry(peer: Peer, body: bodies.CreateEntryBody): Answer<answers.Entry>;
  entries(): Answer<readonly answers.Entry[]>;
  removeEntry(peer: Peer, id: string): Answer<void>;

  /** Whether a cgroup is guarded, by its place: its path from the root of the cgroup tree. */
  guarded(place: string): Answer<answers.Guarded>;

  createAttachment(peer: Peer, body: bodies.CreateAttachmentBody): Answer<answers.Attachment>;
  attachments(): Answer<readonly answers.Attachment[]>;
  removeAttachment(peer: Peer, id: string): Answer<void>;

  /**
   * Messages from now on, or from after the event `after`, in order: of one run, or of all. `deliver` returns at once
   * and never throws. Gives what ends it.
   */
  subscribe(
    which: { readonly run: string | null; readonly after: string | null },
    deliver: (message: HostMessage) => void,
  ): () => void;
}
