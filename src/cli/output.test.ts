import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createOutput, harmless, type Level, type OutputOptions } from './output.ts';

const moduleUrl = new URL('./output.ts', import.meta.url).href;

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'acyclic-output-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function said(messages: [Level, string[], object?][], options: Partial<OutputOptions> = {}): string {
  const path = join(directory, 'out');
  const fd = openSync(path, 'w');
  const output = createOutput({ quiet: false, json: false, fd, env: {}, ...options });
  for (const [level, lines, data] of messages) output.say(level, lines, data);
  closeSync(fd);
  return readFileSync(path, 'utf8');
}

/** What a program prints on a terminal of its own. */
function onTerminal(program: string, env: Record<string, string>): Promise<string> {
  const command = `'${process.execPath}' --input-type=module -e '${program}'`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { env: { PATH: process.env.PATH, ...env } });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  return new Promise((resolve) => child.on('close', () => resolve(text)));
}

describe('say', () => {
  it('begins every message with its name and indents the rest', () => {
    expect(said([['info', ['one', 'two', '    three']]])).toBe('acyclic: one\n  two\n    three\n');
    expect(said([['error', ['acyclic: one', '  two']]])).toBe('acyclic: one\n  two\n');
  });

  it('leaves errors and denials when quiet', () => {
    const messages: [Level, string[]][] = [
      ['info', ['hello']],
      ['denial', ['denied']],
      ['warning', ['careful']],
      ['error', ['broken']],
    ];
    expect(said(messages, { quiet: true })).toBe('acyclic: denied\nacyclic: broken\n');
  });

  it('makes each message one JSON object on one line', () => {
    const text = said([['denial', ['acyclic: denied curl', '  rule     x'], { event: { id: '01J' } }]], {
      json: true,
    });
    expect(text.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(text)).toEqual({
      level: 'denial',
      message: 'denied curl\n  rule     x',
      event: { id: '01J' },
    });
  });

  it('lets no line of untrusted text begin a line of its own or drive the terminal', () => {
    expect(said([['info', ['run x\nacyclic: all is well\u001b[2J\r\u009b1m']]])).toBe(
      'acyclic: run x\\nacyclic: all is well\\x1b[2J\\r\\x9b1m\n',
    );
  });

  it('uses no colour on a file, and colours a terminal unless NO_COLOR is set', async () => {
    expect(said([['error', ['x']]])).toBe('acyclic: x\n');
    const program = `import { createOutput } from "${moduleUrl}"; createOutput({}).say("error", ["x"]);`;
    expect(await onTerminal(program, { TERM: 'xterm' })).toContain('\u001b[31m');
    expect(await onTerminal(program, { TERM: 'xterm', NO_COLOR: '1' })).toBe('acyclic: x\r\n');
    expect(await onTerminal(program, { TERM: 'dumb' })).toBe('acyclic: x\r\n');
  });

  it('writes all of a long message to a slow pipe that was made non-blocking', async () => {
    // A pipe of Node's own is non-blocking on the writer's side once its process.stderr was touched.
    const program = `import { createOutput } from ${JSON.stringify(moduleUrl)};
      process.stderr.write("");
      createOutput({}).say("error", ["y".repeat(300000)]);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    let length = 0;
    child.stderr.on('data', (chunk) => {
      length += chunk.length;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, length }).toEqual({ code: 0, length: 'acyclic: \n'.length + 300_000 });
  });

  it('goes on when nobody reads', async () => {
    const program = `import { createOutput } from ${JSON.stringify(moduleUrl)};
      setTimeout(() => { createOutput({}).say("error", ["x"]); process.exit(7); }, 200);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.destroy();
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(7);
  });
});

describe('harmless', () => {
  it('spells out what reorders or hides text and keeps all else', () => {
    expect(harmless('a\u202eb\u200bc\u2028')).toBe('a\\u{202e}b\\u{200b}c\\u{2028}');
    expect(harmless('héllo → …')).toBe('héllo → …');
  });
});
