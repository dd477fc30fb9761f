/** A queue that gives the least first; equals in the order they came. */
export class Heap<T> {
  readonly #items: { readonly value: T; readonly order: number }[] = [];
  readonly #before: (a: T, b: T) => number;
  #pushed = 0;

  /** `before` is as for sorting: negative if `a` comes first. */
  constructor(before: (a: T, b: T) => number) {
    this.#before = before;
  }

  push(value: T): void {
    this.#items.push({ value, order: this.#pushed++ });
    let child = this.#items.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (this.#compare(parent, child) <= 0) return;
      this.#swap(parent, child);
      child = parent;
    }
  }

  pop(): T | undefined {
    const [first] = this.#items;
    const last = this.#items.pop();
    if (!first || !last || first === last) return first?.value;
    this.#items[0] = last;
    for (let parent = 0; ; ) {
      const [left, right] = [2 * parent + 1, 2 * parent + 2];
      if (left >= this.#items.length) return first.value;
      const least = right < this.#items.length && this.#compare(right, left) < 0 ? right : left;
      if (this.#compare(parent, least) <= 0) return first.value;
      this.#swap(parent, least);
      parent = least;
    }
  }

  #compare(a: number, b: number): number {
    const [one, other] = [this.#items[a], this.#items[b]];
    if (!one || !other) return 0;
    return this.#before(one.value, other.value) || one.order - other.order;
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#items[a], this.#items[b]];
    if (one && other) [this.#items[a], this.#items[b]] = [other, one];
  }
}
