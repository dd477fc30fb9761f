/** Places shared by runs: so many in all, and so many for each, so that no run can take them from the others. */
export class Quota {
  readonly #total: number;
  readonly #perRun: number;
  readonly #held = new Map<string, number>();
  #count = 0;

  constructor(total: number, perRun: number) {
    this.#total = total;
    this.#perRun = perRun;
  }

  /** Takes a place; false when none is left. Each true is given back by one leave(). */
  enter(run: string): boolean {
    const held = this.#held.get(run) ?? 0;
    if (this.#count >= this.#total || held >= this.#perRun) return false;
    this.#count += 1;
    this.#held.set(run, held + 1);
    return true;
  }

  leave(run: string): void {
    const held = this.#held.get(run);
    if (held === undefined) return;
    this.#count -= 1;
    if (held === 1) this.#held.delete(run);
    else this.#held.set(run, held - 1);
  }
}
