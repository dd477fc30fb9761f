import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4096;

/** 16-bit ids nobody can guess (RFC 5452 §9.2), drawn many at a time. */
export class RandomIds {
  readonly #pool = Buffer.alloc(POOL_BYTES);
  #at = POOL_BYTES;

  next(): number {
    if (this.#at === POOL_BYTES) {
      randomFillSync(this.#pool);
      this.#at = 0;
    }
    const id = this.#pool.readUInt16LE(this.#at);
    this.#at += 2;
    return id;
  }
}
