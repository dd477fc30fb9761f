import { MAX_POLICY_BYTES } from './policy-bytes.ts';
import { type Fault, fault } from './problem.ts';
import type { PolicySource } from './read-file.ts';
import { parseYaml } from './yaml-text.ts';

/** An entity of a Backstage catalog, as far as a service map asks for it. */
export interface Entity {
  /** Lower case, as references compare. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Where its document begins. */
  readonly place: CatalogPlace;
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface CatalogPlace {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** Something in a catalog that the services file does not have, and why. */
export interface Unmapped extends CatalogPlace {
  readonly message: string;
}

/** A reference to an entity; a null kind was left out. */
export interface EntityRef {
  readonly kind: string | null;
  readonly namespace: string;
  readonly name: string;
}

export const DEFAULT_NAMESPACE = 'default';

const MAX_ALIASES = 100;
const MOST_DOCUMENTS = 50_000;
/** What a catalog's names are made of. */
const PART = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** The entities of a catalog file; what is none goes to `unmapped`, and so does all of a file that cannot be read. */
export function readEntities({ path, text }: PolicySource, unmapped: Unmapped[]): Entity[] {
  const refuse = (message: string, line = 1) => {
    unmapped.push({ file: path, line, message });
    return [];
  };
  const unreadable = textFault(text);
  if (unreadable) return refuse(unreadable.message);
  const yaml = parseYaml(text);
  if ('offset' in yaml) return refuse(yaml.message, text.slice(0, yaml.offset).split('\n').length);
  const { documents, lines } = yaml;
  return documents.flatMap((document) => {
    const [error] = document.errors;
    if (error) return refuse(`not valid YAML: ${error.message}`, lines.linePos(error.pos[0]).line);
    const { line } = lines.linePos(document.contents?.range?.[0] ?? 0);
    let data: unknown;
    try {
      data = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (failure) {
      return refuse(`YAML aliases cannot be followed: ${(failure as Error).message}`, line);
    }
    if (data === null) return [];
    return readEntity(data, { file: path, line }) ?? refuse('this is no entity of a catalog', line);
  });
}

function textFault(text: string): Fault | null {
  if (new TextEncoder().encode(text).length > MAX_POLICY_BYTES)
    return fault('too-large', 'the file is over 4 MiB: split it');
  if (/[\0\ufffd]/.test(text)) return fault('not-text', 'the file is not text');
  if ((text.match(/^---/gm)?.length ?? 0) > MOST_DOCUMENTS)
    return fault('too-large', `the file has over ${MOST_DOCUMENTS} documents: split it`);
  return null;
}

function readEntity(data: unknown, place: CatalogPlace): Entity | null {
  const { apiVersion, kind, metadata, spec } = asRecord(data);
  const { name, namespace = DEFAULT_NAMESPACE } = asRecord(metadata);
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return null;
  if (!isPart(name) || !isPart(namespace)) return null;
  const [lowKind, lowNamespace] = [kind.toLowerCase(), namespace.toLowerCase()];
  return { kind: lowKind, namespace: lowNamespace, name: name.toLowerCase(), place, spec: asRecord(spec) };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function isPart(value: unknown): value is string {
  return typeof value === 'string' && PART.test(value);
}

/** Reads `[kind:][namespace/]name`, which is compared without regard to case; null when it is none. */
export function readRef(value: unknown, namespace: string): EntityRef | null {
  if (typeof value !== 'string') return null;
  const [, kind = null, given, name] = /^(?:([^:/]+):)?(?:([^:/]+)\/)?([^:/]+)$/.exec(value.trim()) ?? [];
  if (!isPart(name) || (given !== undefined && !isPart(given)) || (kind !== null && !isPart(kind)))
    return null;
  return {
    kind: kind?.toLowerCase() ?? null,
    namespace: (given ?? namespace).toLowerCase(),
    name: name.toLowerCase(),
  };
}

/** `component:default/shop`. */
export function formatRef({ kind, namespace, name }: Pick<Entity, 'kind' | 'namespace' | 'name'>): string {
  return `${kind}:${namespace}/${name}`;
}
