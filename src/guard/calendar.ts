/**
 * Of a slot, in milliseconds: nothing is taken earlier than it was put down for, and up to this much later.
 */
const SLOT_MS = 250;

interface Entry {
  /** The slot it is in; Infinity: none. */
  due: number;
}

/** What is to be looked at again, by time. An entry has one place: putting it down earlier moves it. */
export class Calendar<T extends Entry> {
  readonly #slots = new Map<number, T[]>();
  #next: number;

  constructor(now: number) {
    this.#next = Math.floor(now / SLOT_MS);
  }

  /** Puts an entry down for a time, unless it is there for an earlier one. */
  put(entry: T, at: number): void {
    const slot = Math.max(this.#next, Math.ceil(at / SLOT_MS));
    if (slot >= entry.due) return;
    entry.due = slot;
    const entries = this.#slots.get(slot);
    if (entries) entries.push(entry);
    else this.#slots.set(slot, [entry]);
  }

  /** Takes what is due, at most so many; what is left is due still. */
  take(now: number, most: number): T[] {
    const taken: T[] = [];
    while (this.#next <= now / SLOT_MS) {
      const entries = this.#slots.get(this.#next) ?? [];
      while (entries.length > 0 && taken.length < most) {
        const entry = entries.pop();
        if (entry?.due !== this.#next) continue;
        entry.due = Number.POSITIVE_INFINITY;
        taken.push(entry);
      }
      if (entries.length > 0) break;
      this.#slots.delete(this.#next++);
    }
    return taken;
  }
}
