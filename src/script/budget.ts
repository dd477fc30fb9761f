/** Work that may still be done: what strangers wrote must not keep anybody busy for long. */
export class Budget {
  #left: number;

  /** One step is about a word looked at. */
  constructor(steps: number) {
    this.#left = steps;
  }

  /** False: there is not so much left, and from now on nothing is. */
  spend(steps = 1): boolean {
    this.#left -= steps;
    return this.#left >= 0;
  }

  get spent(): boolean {
    return this.#left < 0;
  }
}
