import type { Path } from './path.ts';
import { problemAt } from './place.ts';
import type { Deployment, Policy, Rule } from './policy.ts';
import type { Fault, Problem } from './problem.ts';
import type { ReadFile } from './read-file.ts';

const LISTS = ['allow', 'audit', 'deny'] as const;

/** A place in the files of a policy: a path in one of them. */
export interface Whereabout {
  readonly file: ReadFile;
  readonly path: Path;
}

/** Where the objects of a policy without errors are written. */
export class Whereabouts {
  readonly #files: readonly ReadFile[];
  readonly #found = new Map<string, ReadFile>();

  constructor(files: readonly ReadFile[]) {
    this.#files = files;
    for (const file of files)
      for (const top of ['services', 'deployments'] as const)
        for (const name of Object.keys(file.data[top] ?? {})) this.#found.set(`${top}/${name}`, file);
  }

  /** A part of a service; null for a built-in one. */
  service(name: string, ...rest: Path): Whereabout | null {
    const file = this.#found.get(`services/${name}`);
    return file ? { file, path: ['services', name, ...rest] } : null;
  }

  /** A part of a deployment. */
  deployment(name: string, ...rest: Path): Whereabout | null {
    const file = this.#found.get(`deployments/${name}`);
    return file ? { file, path: ['deployments', name, ...rest] } : null;
  }

  /** Every rule of a deployment, or of the floor, in the order the policy has them. */
  rules(policy: Policy, deployment: Deployment | null): { readonly rule: Rule; readonly at: Whereabout }[] {
    const file = deployment
      ? this.#found.get(`deployments/${deployment.name}`)
      : this.#files.find(({ data }) => data.floor);
    const lists = deployment ? file?.data.deployments?.[deployment.name] : file?.data.floor;
    const top = deployment ? ['deployments', deployment.name] : ['floor'];
    const paths = LISTS.flatMap((list) =>
      ((lists as Partial<Record<typeof list, unknown[]>> | undefined)?.[list] ?? []).map((_, i) => [
        ...top,
        list,
        i,
      ]),
    );
    const rules = deployment ? deployment.rules : policy.floor;
    return rules.flatMap((rule, i) => {
      const path = paths[i];
      return file && path ? [{ rule, at: { file, path } }] : [];
    });
  }
}

/** A policy without errors, to be looked at as a whole. */
export interface Inspected {
  readonly policy: Policy;
  readonly whereabouts: Whereabouts;
  /** Waivers are judged at this moment. */
  readonly now: Date;
}

/** A warning about a value, or about the key it has. */
export function warningAt({ file, path }: Whereabout, found: Fault, at: 'value' | 'key' = 'value'): Problem {
  const place = at === 'key' ? file.places.key(path) : file.places.value(path);
  return { ...problemAt(file.path, place, found), severity: 'warning' };
}
