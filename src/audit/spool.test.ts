import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { drain, Spool, waitingIn } from './spool.ts';

let directory: string;
let places: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'acyclic-spool-'));
  places = [join(directory, 'a'), join(directory, 'b')];
});
afterEach(() => rmSync(directory, { recursive: true }));

function drained(): string[] {
  const lines: string[] = [];
  drain(places, (some) => lines.push(...some));
  return lines;
}

describe('a spool', () => {
  test('gives its lines once, and is gone', () => {
    const spool = new Spool(places);
    spool.append(['one', 'two\u00e4']);
    spool.append(['three']);
    expect(statSync(spool.path ?? '').mode & 0o777).toBe(0o600);
    spool.close();
    expect(drained()).toEqual(['one', 'two\u00e4', 'three']);
    expect(drained()).toEqual([]);
    expect(existsSync(places[0] ?? '')).toBe(false);
  });

  test('goes to the second place where the first cannot be', () => {
    appendFileSync(places[0] ?? '', 'a file, not a directory');
    const spool = new Spool(places);
    spool.append(['one']);
    expect(spool.path?.startsWith(`${places[1]}/`)).toBe(true);
    expect(drained()).toEqual(['one']);
  });

  test('holds no more than it may, with all that is beside it, and says so', () => {
    const [one, other] = [new Spool(places.slice(0, 1), 1000), new Spool(places.slice(0, 1), 1000)];
    one.append(['x'.repeat(600)]);
    expect(() => other.append(['y'.repeat(600)])).toThrow(/spool is full/);
    other.append(['y'.repeat(300)]);
    expect(() => one.append(['x'.repeat(600)])).toThrow(/spool is full/);
    expect(waitingIn(places).bytes).toBe(902);
  });

  test('that was taken while it is written goes on in a new file, with what may have been missed', () => {
    const spool = new Spool(places);
    spool.append(['one']);
    expect(drained()).toEqual(['one']);
    spool.append(['two']);
    spool.append(['three']);
    expect(drained()).toEqual(['two', 'three']);
  });

  test('whose taker died is taken again, and stays when its lines cannot be put anywhere', () => {
    const spool = new Spool(places);
    spool.append(['one']);
    const refuse = () => {
      throw new Error('no room');
    };
    expect(() => drain(places, refuse)).toThrow('no room');
    expect(() => drain(places, refuse)).toThrow('no room');
    expect(drained()).toEqual(['one']);
  });

  test('in a directory that is another’s is left alone', () => {
    const spool = new Spool(places);
    spool.append(['one']);
    chmodSync(places[0] ?? '', 0o777);
    expect(drained()).toEqual([]);
    chmodSync(places[0] ?? '', 0o700);
    expect(drained()).toEqual(['one']);
  });

  test('that ends in half a line gives the whole ones', () => {
    const spool = new Spool(places);
    spool.append(['one', 'two']);
    appendFileSync(spool.path ?? '', 'half a li');
    expect(drained()).toEqual(['one', 'two']);
  });

  test('loses nothing while others take it as fast as they can', async () => {
    const writing = `import { Spool } from ${JSON.stringify(join(import.meta.dirname, 'spool.ts'))};
      const spool = new Spool(${JSON.stringify(places)});
      for (let i = 0; i < 3000; i++) spool.append([process.argv[1] + ' ' + i]);`;
    const children = ['a', 'b'].map((name) =>
      spawn(process.execPath, ['--input-type=module-typescript', '-e', writing, name], { stdio: 'inherit' }),
    );
    const ended = Promise.all(children.map((child) => once(child, 'close')));
    let open = true;
    void ended.then(() => {
      open = false;
    });
    const lines = new Set<string>();
    let takes = 0;
    while (open) {
      for (const line of drained()) lines.add(line);
      if (existsSync(places[0] ?? '')) takes++;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    for (const line of drained()) lines.add(line);
    expect(takes).toBeGreaterThan(20);
    for (const name of ['a', 'b'])
      expect(
        Array.from({ length: 3000 }, (_, i) => `${name} ${i}`).filter((line) => !lines.has(line)),
      ).toEqual([]);
  });
});
