import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { nearest } from '../policy/nearest.ts';
import { MAX_POLICY_BYTES } from '../policy/policy-bytes.ts';
import { readBounded, readingFault } from './bounded-file.ts';

/** Folders of a policy directory, as the files in them are named in messages. */
const FOLDERS = ['', 'services', 'deployments'] as const;

/** One file of a policy. */
export interface PolicyFile {
  readonly file: string;
  /** As messages and events name it: within the policy. */
  readonly name: string;
  readonly text: string;
}

/** A policy that cannot be read or does not hold; nothing was run. */
export class PolicyFailure extends Error {
  readonly code = 'policy';
  readonly remedy: string | null;

  constructor(message: string, remedy: string | null, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PolicyFailure';
    this.remedy = remedy;
  }
}

/** The files of a policy, of a file or a directory, as they are. Throws PolicyFailure if one cannot be read. */
export function readTexts(path: string): PolicyFile[] {
  return filesOf(path).map((named) => ({ ...named, text: readText(named.file) }));
}

function filesOf(path: string): Omit<PolicyFile, 'text'>[] {
  let directory: boolean;
  try {
    directory = statSync(path).isDirectory();
  } catch (error) {
    throw unreadable(path, error as NodeJS.ErrnoException);
  }
  if (!directory) return [{ file: path, name: basename(path) }];
  const files = policyFilesIn(path);
  if (files.length > 0) return files;
  throw new PolicyFailure(
    `the policy directory ${path} holds no policy`,
    'it needs *.yaml, services/*.yaml or deployments/*.yaml',
  );
}

/** Files of a policy directory; none where there is no directory. */
export function policyFilesIn(directory: string): Omit<PolicyFile, 'text'>[] {
  return FOLDERS.flatMap((folder) =>
    namesIn(join(directory, folder))
      .filter((name) => /\.ya?ml$/.test(name) && !name.startsWith('.'))
      .sort()
      .map((name) => ({ file: join(directory, folder, name), name: join(folder, name) })),
  );
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readText(file: string): string {
  try {
    return readBounded(file, MAX_POLICY_BYTES);
  } catch (error) {
    throw unreadable(file, error as NodeJS.ErrnoException);
  }
}

function unreadable(path: string, error: NodeJS.ErrnoException): PolicyFailure {
  const meant = error.code === 'ENOENT' ? nearest(basename(path), namesIn(dirname(path))) : null;
  return new PolicyFailure(
    `cannot read the policy ${path}: ${readingFault(error)}`,
    meant ? `did you mean ${join(dirname(path), meant)}?` : 'check the path given with -p',
    { cause: error },
  );
}
