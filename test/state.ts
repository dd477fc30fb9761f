import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Tests record into a trail of their own, and leave the host's as it is; vitest calls this before all of them. */
export default function setUp(): () => void {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-state-'));
  process.env.ACYCLIC_STATE = join(directory, 'state');
  mkdirSync(process.env.ACYCLIC_STATE, { mode: 0o700 });
  return () => rmSync(directory, { recursive: true, force: true });
}
