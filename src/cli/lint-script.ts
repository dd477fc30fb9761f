import { resolve } from 'node:path';
import { loadInstalledPolicy, loadPolicy } from '../guard/policy-files.ts';
import { groundOf } from '../guard/script-files.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import type { Decision } from '../policy/evaluate.ts';
import { evaluateNamed } from '../policy/named.ts';
import { formatHost } from '../script/host.ts';
import type { Mention, Unseen } from '../script/mention.ts';
import { ScriptReading } from '../script/reading.ts';
import type { Place } from '../script/text.ts';
import { Failure, harmless } from './output.ts';
import { compileHere } from './policy-loading.ts';

/** A host that a script names, and what a run would do to a call of it. */
export interface LintedHost {
  readonly mention: Mention;
  /** Null where there is no policy to say. */
  readonly decision: Decision | null;
}

/** What reading a script came to. */
export interface Linted {
  readonly script: string;
  /** Null: there is no policy. */
  readonly policyId: string | null;
  readonly policy: CompiledPolicy | null;
  /** By file, in the order they were read, and line. */
  readonly hosts: readonly LintedHost[];
  readonly unseen: readonly Unseen[];
  /** Programs the scripts call: what those call by themselves is not seen. */
  readonly programs: readonly string[];
  /** Every file that was read, as people name it. */
  readonly files: readonly string[];
  /** False: there was more than is followed. */
  readonly complete: boolean;
}

const NO_REASON = { missing: 'there is no such file', large: 'it is over 1 MiB', binary: 'it is not text' };

/** Reads a script and judges what it names. Throws Failure, PolicyFailure or CompileFailure. */
export function lintScript(
  script: string,
  options: { readonly policy: string | null; readonly deployment: string | null },
): Linted {
  const loaded = options.policy === null ? loadInstalledPolicy() : loadPolicy(options.policy);
  if (!loaded && options.deployment !== null)
    throw new Failure(
      'bad-value',
      `there is no policy, so no deployment '${harmless(options.deployment)}'`,
      'give a policy with -p',
    );
  const policy = loaded && compileHere(loaded.policy, options.deployment);
  const ground = groundOf({ cwd: process.cwd(), script, path: process.env.PATH ?? '' });
  const reading = new ScriptReading(ground);
  const kind = reading.script(resolve(script));
  if (kind !== 'text')
    throw new Failure(
      'script',
      `cannot read the script ${harmless(script)}: ${kind === 'refused' ? 'permission denied, or no file' : NO_REASON[kind]}`,
      'name a script that is there, a text of at most 1 MiB',
    );
  const files = [...reading.files].map((path) => ground.name(path));
  if (files.length === 0)
    throw new Failure(
      'script',
      `cannot read the script ${harmless(script)}: it is in a language that is not read`,
    );
  const { mentions, likely, unseen, programs, complete } = reading.findings;
  const known = policy ? likely.filter((mention) => isKnown(judge(policy, mention))) : [];
  return {
    script,
    policyId: loaded?.id ?? null,
    policy,
    hosts: inOrder([...mentions, ...known], files).map((mention) => ({
      mention,
      decision: policy && judge(policy, mention),
    })),
    unseen: inOrder(unseen, files),
    programs: [...programs.keys()],
    files,
    complete,
  };
}

/** A word that could be a host is one if the policy speaks of it. */
function isKnown({ service, rule }: Decision): boolean {
  return service !== null || rule.kind !== 'default';
}

function judge(policy: CompiledPolicy, { host, port, protocol }: Mention): Decision {
  const name = host.kind === 'address' ? null : formatHost(host);
  const address = host.kind === 'address' ? host.address : null;
  return evaluateNamed(policy, { name, address, port, protocol });
}

function inOrder<Placed extends { readonly place: Place }>(
  all: readonly Placed[],
  files: readonly string[],
): Placed[] {
  const order = new Map(files.map((file, i) => [file, i]));
  const rank = ({ place }: Placed) => order.get(place.file) ?? files.length;
  return [...all].sort((a, b) => rank(a) - rank(b) || a.place.line - b.place.line);
}
