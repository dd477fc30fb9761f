import type { Address } from '../model/address.ts';
import type { AuditEvent } from '../model/event.ts';
import { type CompiledPolicy, compile } from './compile.ts';
import { judgeQuestion, questionOf } from './question.ts';

/**
 * Destinations that were called, to tell new ones by. One with names is known by any of them at that port,
 * whatever address they lead to now; one without is known by its address. A lookup is a destination of its own.
 */
export class SeenDestinations {
  readonly #keys = new Set<string>();
  readonly #exempt: CompiledPolicy;

  /** `own`: this host's addresses, which are no destinations, as loopback is none. */
  constructor(own: readonly Address[]) {
    this.#exempt = compileExempt(own);
  }

  add(event: AuditEvent): void {
    const { names, address } = this.#keysOf(event);
    for (const key of [...names, ...address]) this.#keys.add(key);
  }

  has(event: AuditEvent): boolean {
    const { names, address } = this.#keysOf(event);
    const known = names.length > 0 ? names : address;
    return known.length === 0 || known.some((key) => this.#keys.has(key));
  }

  #keysOf(event: AuditEvent): { names: string[]; address: string[] } {
    const question = questionOf(event);
    if (question?.kind === 'lookup') return { names: [`dns ${question.names[0]}`], address: [] };
    if (!question || judgeQuestion(this.#exempt, question).answer === 'allow')
      return { names: [], address: [] };
    const { names, address, port } = question.destination;
    // A look at the route to where TCP goes is no other destination.
    const protocol = question.probe ? 'tcp' : event.destination?.protocol;
    const key = (identity: string | null) => `${protocol} ${port} ${identity}`;
    return { names: names.map(key), address: [key(address)] };
  }
}

/** No rule at all and a default of deny: what it allows is always allowed (loopback, the host's own addresses). */
function compileExempt(ownAddresses: readonly Address[]): CompiledPolicy {
  return compile(null, {
    deployment: null,
    allow: [],
    deny: [],
    default: 'deny',
    mode: 'enforce',
    now: new Date(0),
    ownAddresses,
  });
}
