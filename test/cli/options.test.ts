import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const bin = fileURLToPath(new URL('../../bin/acyclic', import.meta.url));

function acyclic(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(bin, args, { encoding: 'utf8', timeout: 30_000 });
  return { status, stdout, stderr };
}

/** Nothing on standard output, and on standard error one paragraph of ours. */
function refusal(...args: string[]) {
  const { status, stdout, stderr } = acyclic(...args);
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^acyclic: .+\n$/);
  return { status, said: stderr.slice('acyclic: '.length, -1) };
}

describe('acyclic', () => {
  it('tells its version and its help on standard output', () => {
    expect(acyclic('--version')).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^acyclic \d+\.\d+\.\d+\n$/),
      stderr: '',
    });
    const help = acyclic('--help');
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toMatch(/^ {2}run .*\n(.*\n)*Examples:\n/m);
  });

  it('shows every command in its help', () => {
    const { stdout } = acyclic('--help');
    const commands = [...stdout.matchAll(/^ {2}([a-z]+)( \[| {2})/gm)].map(([, name]) => name);
    expect(commands).toEqual([
      'run',
      'runs',
      'status',
      'policy',
      'allow',
      'deny',
      'graph',
      'lint',
      'attach',
      'daemon',
      'detach',
      'require',
      'audit',
      'doctor',
      'demo',
      'help',
    ]);
  });

  it('asks for a command', () => {
    expect(refusal()).toEqual({ status: 2, said: 'no command given; try: acyclic --help' });
  });

  it('guesses what a mistyped command or option was', () => {
    expect(refusal('rum', 'true')).toEqual({
      status: 2,
      said: "unknown command 'rum' (did you mean run?); try: acyclic --help",
    });
    expect(refusal('run', '--audti', 'true')).toEqual({
      status: 125,
      said: "unknown option '--audti' (did you mean --audit?); try: acyclic run --help",
    });
    expect(refusal('doctor', '--bogus').status).toBe(2);
  });
});

describe('acyclic run', () => {
  it('gives examples in its help', () => {
    const { status, stdout } = acyclic('run', '--help');
    expect(status).toBe(0);
    expect(stdout).toContain('acyclic run -p acyclic.yaml');
    expect(stdout).toContain('--memory <size>');
  });

  it.each([
    [[], 125, 'no command given to guard; try: acyclic run -- ./deploy.sh'],
    [['--'], 125, 'no command given to guard; try: acyclic run -- ./deploy.sh'],
    [['--', ''], 127, 'the command to guard is an empty string; try: acyclic run -- ./deploy.sh'],
    [['--audit', '--enforce', 'true'], 125, '--audit and --enforce contradict each other; leave one out'],
    [
      ['--cpu', '2', 'true'],
      125,
      '--cpu: `2` is not a share of processors: write `200%` for two; did you mean `--cpu 2%`?',
    ],
    [
      ['--timeout', 'soon', 'true'],
      125,
      '--timeout cannot be `soon`; give it a time, such as 30s, 10m or 2h',
    ],
    [['-p'], 125, "option '-p, --policy <path>' argument missing; try: acyclic run --help"],
  ])('refuses %j before anything starts', (args, status, said) => {
    expect(refusal('run', ...args)).toEqual({ status, said });
  });

  it('keeps to JSON when asked to, in refusals too', () => {
    const { status, stderr } = acyclic('run', '--json', '--leftover', 'keep', 'true');
    expect(status).toBe(125);
    expect(JSON.parse(stderr)).toEqual({
      level: 'error',
      message: '--leftover cannot be `keep`; give it release or kill',
      code: 'bad-value',
    });
  });

  it('lets no text given to it reach the terminal raw', () => {
    expect(refusal('run', '--leftover', 'a\u001b[2J\nacyclic: b', 'true').said).toContain(
      '`a\\x1b[2J\\nacyclic: b`',
    );
  });
});
