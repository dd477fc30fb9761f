type Step = () => void | Promise<void>;

/** Things that were started and must be stopped, the last first, each even if another fails. */
export class UndoList {
  readonly #steps: { name: string; undo: Step; letGo: Step | null }[] = [];

  /** `letGo`: what of it is this process's alone, where the thing itself is another one's as well. */
  add(name: string, undo: Step, letGo: Step | null = null): void {
    this.#steps.push({ name, undo, letGo });
  }

  /** Undoes all; returns what failed, by name. */
  run(): Promise<string[]> {
    return this.#each(({ undo }) => undo());
  }

  /** Lets all go, and leaves it as it is for another process; returns what failed, by name. */
  letGo(): Promise<string[]> {
    return this.#each(({ letGo }) => letGo?.());
  }

  async #each(take: (step: { undo: Step; letGo: Step | null }) => void | Promise<void>): Promise<string[]> {
    const failures: string[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await take(step);
      } catch (error) {
        failures.push(`${step.name}: ${(error as Error).message}`);
      }
    }
    return failures;
  }
}
