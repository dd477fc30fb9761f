import type { Act, Host, Peer } from './host-interface.ts';
import { Refusal } from './refusal.ts';

/**
 * Who may do what. Members of the group read; what changes anything is root's, or of whom policy's roles name; a run
 * is its owner's and root's.
 */
export class Access {
  readonly #gid: number | null;
  readonly #host: Pick<Host, 'may' | 'ownerOf'>;

  /** `gid`: of the group; null: there is none, and root is alone. */
  constructor(gid: number | null, host: Pick<Host, 'may' | 'ownerOf'>) {
    this.#gid = gid;
    this.#host = host;
  }

  isMember(peer: Peer): boolean {
    if (peer.uid === 0) return true;
    return this.#gid !== null && (peer.gid === this.#gid || peer.groups.includes(this.#gid));
  }

  /** Throws Refusal. */
  checkMember(peer: Peer): void {
    if (!this.isMember(peer))
      throw new Refusal(
        'refused',
        `user ${peer.uid} is not in the group that may use the daemon`,
        'ask to be put into the group acyclic, and log in anew',
      );
  }

  /** Throws Refusal. */
  check(peer: Peer, act: Act): void {
    this.checkMember(peer);
    if (peer.uid === 0 || this.#host.may(peer, act)) return;
    throw new Refusal(
      'refused',
      `user ${peer.uid} may not ${wordsOf(act)}`,
      'ask root to do it, or to name you in `roles` of the policy',
    );
  }

  /** Throws Refusal. */
  checkOwner(peer: Peer, run: string): void {
    this.checkMember(peer);
    const owner = this.#host.ownerOf(run);
    if (owner === undefined) throw new Refusal('not-found', `there is no run ${run} in progress`);
    if (peer.uid !== 0 && peer.uid !== owner)
      throw new Refusal('refused', `run ${run} is of another user`, 'its owner and root may do that');
  }
}

function wordsOf(act: Act): string {
  const of = (deployment: string | null) => (deployment === null ? '' : ` of ${deployment}`);
  switch (act.what) {
    case 'run':
      return `begin a run${of(act.deployment)}`;
    case 'break-glass':
      return `break the glass for a run${of(act.deployment)}`;
    case 'apply':
      return 'change the policy';
    case 'entries':
      return `make or remove live entries${of(act.deployment)}`;
    case 'attach':
      return 'attach to a cgroup, or detach from one';
  }
}
