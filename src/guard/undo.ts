/** Things that were started and must be stopped, the last first, each even if another fails. */
export class UndoList {
  readonly #steps: { name: string; undo: () => void | Promise<void> }[] = [];

  add(name: string, undo: () => void | Promise<void>): void {
    this.#steps.push({ name, undo });
  }

  /** Undoes all; returns what failed, by name. */
  async run(): Promise<string[]> {
    const failures: string[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        failures.push(`${step.name}: ${(error as Error).message}`);
      }
    }
    return failures;
  }
}
