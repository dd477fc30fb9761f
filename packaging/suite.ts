/**
 * Runs every gate and every test, goes on after a failure, and ends with one line: `N passed, N failed, N skipped`.
 * A gate counts as one test. usage: suite.ts PART…, with the parts `gates`, `unit`,
 * `machines`, `integration`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';

const GATES: Readonly<Record<string, readonly string[]>> = {
  'format and lint': ['@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'],
  types: ['typescript/bin/tsc', '-p', '.'],
  layers: [
    'dependency-cruiser/bin/dependency-cruiser.mjs',
    '--config',
    '.dependency-cruiser.mjs',
    '--output-type',
    'err-long',
    'src',
    'test',
    'bench',
  ],
  'dead code': ['knip/bin/knip.js', '--no-progress'],
};

interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The parts read of what vitest's JSON reporter writes. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Runs a development tool on this very Node, output passed through. */
function runTool([script, ...args]: readonly string[]): boolean {
  const { status, error } = spawnSync(process.execPath, [`node_modules/${script}`, ...args], {
    stdio: 'inherit',
  });
  if (error) say(error.message);
  return status === 0;
}

function runGates(): Count {
  const failed: string[] = [];
  for (const [name, command] of Object.entries(GATES)) {
    say(`\n— ${name}`);
    if (!runTool(command)) failed.push(name);
  }
  if (failed.length > 0) say(`\nfailed: ${failed.join(', ')}`);
  return { passed: Object.keys(GATES).length - failed.length, failed: failed.length, skipped: 0 };
}

function runTests(project: string): Count {
  say(`\n— ${project} tests`);
  const file = `build/test/${project}.json`;
  mkdirSync('build/test', { recursive: true });
  rmSync(file, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const clean = runTool(['vitest/vitest.mjs', 'run', '--project', project, ...reporters]);
  const count = readReport(file);
  // Something went wrong that no test stands for: an error between tests, a runner that died, or no test at all.
  const wrong = !clean || count.passed === 0;
  return wrong && count.failed === 0 ? { ...count, failed: 1 } : count;
}

function readReport(file: string): Count {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

const PARTS: Readonly<Record<string, () => Count>> = {
  gates: runGates,
  unit: () => runTests('unit'),
  machines: () => runTests('machines'),
  integration: () => runTests('integration'),
};

const counts = process.argv.slice(2).map((name) => {
  const part = PARTS[name];
  if (!part) throw new Error(`no part \`${name}\`: the parts are ${Object.keys(PARTS).join(', ')}`);
  return part();
});
const total = (key: keyof Count) => counts.reduce((sum, count) => sum + count[key], 0);
say(`\n${total('passed')} passed, ${total('failed')} failed, ${total('skipped')} skipped`);
process.exitCode = total('failed') > 0 ? 1 : 0;
