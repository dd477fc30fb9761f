import {
  DEFAULT_NAMESPACE,
  type Entity,
  type EntityRef,
  formatRef,
  readEntities,
  readRef,
  type Unmapped,
} from './backstage-entities.ts';
import { builtinServices } from './builtin.ts';
import { nameFault } from './object-name.ts';
import type { PolicySource } from './read-file.ts';

export interface ImportedService {
  readonly name: string;
  /** The entity it stands for, as `component:default/shop`. */
  readonly ref: string;
  readonly owner: string | null;
  readonly dependsOn: readonly string[];
}

export interface ImportedCatalog {
  readonly services: readonly ImportedService[];
  readonly unmapped: readonly Unmapped[];
  /** Entities that are no services, by kind: groups, templates and the like. */
  readonly passedOver: ReadonlyMap<string, number>;
}

/** Kinds that are services, and in what order they have their name to themselves. */
const SERVICE_KINDS = ['component', 'resource', 'system'];

/**
 * The services of a Backstage catalog. Components and resources are services. A consumed API is a dependency on
 * whoever provides it. A system is a service where something depends on it, and depends on what is part of it.
 */
export function importBackstage(sources: readonly PolicySource[]): ImportedCatalog {
  const unmapped: Unmapped[] = [];
  const catalog = new Catalog(unmapped);
  for (const source of sources) for (const entity of readEntities(source, unmapped)) catalog.add(entity);
  const { services, passedOver } = catalog.result();
  const order = new Map(sources.map(({ path }, i) => [path, i]));
  unmapped.sort((a, b) => (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line);
  return { services, unmapped, passedOver };
}

class Catalog {
  readonly #unmapped: Unmapped[];
  readonly #entities = new Map<string, Entity>();
  /** By API, who provides it. */
  readonly #providers = new Map<string, Entity[]>();
  /** By system, what is part of it. */
  readonly #parts = new Map<string, Entity[]>();
  readonly #needs = new Map<Entity, Set<Entity>>();

  constructor(unmapped: Unmapped[]) {
    this.#unmapped = unmapped;
  }

  add(entity: Entity): void {
    const ref = formatRef(entity);
    const before = this.#entities.get(ref);
    if (before) this.#leave(entity, `it is defined at ${before.place.file}:${before.place.line} already`);
    else this.#entities.set(ref, entity);
  }

  result(): Pick<ImportedCatalog, 'services' | 'passedOver'> {
    const all = [...this.#entities.values()];
    const callers = all.filter(({ kind }) => kind === 'component' || kind === 'resource');
    for (const entity of callers) this.#index(entity);
    for (const entity of callers) this.#resolve(entity);
    const needed = new Set([...this.#needs.values()].flatMap((set) => [...set]));
    const systems = all.filter((entity) => entity.kind === 'system' && needed.has(entity));
    for (const system of systems)
      for (const part of this.#parts.get(formatRef(system)) ?? []) this.#need(system, part);
    const passedOver = new Map<string, number>();
    for (const { kind } of all)
      if (kind !== 'api' && !SERVICE_KINDS.includes(kind))
        passedOver.set(kind, (passedOver.get(kind) ?? 0) + 1);
    const names = nameAll([...callers, ...systems]);
    const services = [...names].map(([entity, name]): ImportedService => {
      const dependsOn = [...(this.#needs.get(entity) ?? [])].flatMap((other) => names.get(other) ?? []);
      return { name, ref: formatRef(entity), owner: this.#ownerOf(entity), dependsOn };
    });
    return { services, passedOver };
  }

  /** Whom its APIs and its system lead to. */
  #index(entity: Entity): void {
    for (const ref of this.#refs(entity, 'providesApis'))
      push(this.#providers, formatRef({ ...ref, kind: 'api' }), entity);
    for (const ref of this.#refs(entity, 'system'))
      push(this.#parts, formatRef({ ...ref, kind: 'system' }), entity);
  }

  #resolve(entity: Entity): void {
    for (const ref of this.#refs(entity, 'consumesApis')) this.#needApi(entity, ref);
    for (const ref of this.#refs(entity, 'dependsOn')) {
      const found = this.#find(entity, ref, 'depends on');
      if (found?.kind === 'api') this.#needApi(entity, found);
      else if (found) this.#need(entity, found);
    }
    for (const ref of this.#refs(entity, 'dependencyOf')) {
      const found = this.#find(entity, ref, 'is a dependency of');
      if (found?.kind === 'component' || found?.kind === 'resource') this.#need(found, entity);
      else if (found)
        this.#leave(entity, `it is a dependency of ${formatRef(found)}, which is no service of its own`);
    }
  }

  #needApi(entity: Entity, ref: Pick<EntityRef, 'namespace' | 'name'>): void {
    const api = formatRef({ ...ref, kind: 'api' });
    const providers = this.#providers.get(api) ?? [];
    if (providers.length === 0)
      this.#leave(entity, `it consumes ${api}, which nothing in these files provides`);
    for (const provider of providers) if (provider !== entity) this.#need(entity, provider);
  }

  /** The entity of a reference; one without a kind is that of the only entity of the name. */
  #find(entity: Entity, ref: EntityRef, verb: string): Entity | null {
    const kinds = ref.kind === null ? [...SERVICE_KINDS, 'api'] : [ref.kind];
    const found = kinds.flatMap((kind) => this.#entities.get(formatRef({ ...ref, kind })) ?? []);
    const [only, ...others] = found;
    const told = ref.kind === null ? `${ref.namespace}/${ref.name}` : formatRef({ ...ref, kind: ref.kind });
    if (others.length > 0) {
      this.#leave(entity, `it ${verb} ${told}, which may be ${found.map(formatRef).join(' or ')}`);
      return null;
    }
    if (only && (SERVICE_KINDS.includes(only.kind) || only.kind === 'api')) return only;
    const why = only ? 'which is no service' : 'which is not in these files';
    // An API need not be in the files for its provider to be known.
    if (!only && ref.kind === 'api') return { ...entity, ...ref, kind: 'api' };
    this.#leave(entity, `it ${verb} ${told}, ${why}`);
    return null;
  }

  #need(entity: Entity, other: Entity): void {
    if (entity === other) {
      this.#leave(entity, 'it depends on itself');
      return;
    }
    const needs = this.#needs.get(entity) ?? new Set();
    this.#needs.set(entity, needs.add(other));
  }

  /** The references under a key of the spec, one or a list of them. */
  #refs(entity: Entity, key: string): EntityRef[] {
    const value = entity.spec[key];
    if (value === undefined || value === null) return [];
    return (Array.isArray(value) ? value : [value]).flatMap((one: unknown) => {
      const ref = readRef(one, entity.namespace);
      if (!ref) this.#leave(entity, `its \`${key}\` holds what is no reference to an entity`);
      return ref ?? [];
    });
  }

  #ownerOf(entity: Entity): string | null {
    const { owner } = entity.spec;
    if (owner === undefined || owner === null) return null;
    const ref = readRef(owner, DEFAULT_NAMESPACE);
    if (!ref) {
      this.#leave(entity, 'its `owner` is no reference to an entity');
      return null;
    }
    return ref.namespace === DEFAULT_NAMESPACE ? ref.name : `${ref.namespace}/${ref.name}`;
  }

  #leave(entity: Entity, message: string): void {
    this.#unmapped.push({ ...entity.place, message: `${formatRef(entity)}: ${message}` });
  }
}

/** A name for each: its own, with the namespace and the kind where they are needed to tell it from others. */
function nameAll(entities: readonly Entity[]): Map<Entity, string> {
  const taken = new Set(builtinServices.keys());
  const names = new Map<Entity, string>();
  const inOrder = [...entities].sort((a, b) => SERVICE_KINDS.indexOf(a.kind) - SERVICE_KINDS.indexOf(b.kind));
  for (const entity of inOrder) {
    const { kind, namespace, name } = entity;
    const plain = namespace === DEFAULT_NAMESPACE ? name : `${namespace}.${name}`;
    for (let n = 0; !names.has(entity); n++) {
      const candidate = [plain, `${plain}.${kind}`][n] ?? `${plain.slice(0, 100)}.${kind}.${n}`;
      if (taken.has(candidate) || nameFault('service', candidate)) continue;
      taken.add(candidate);
      names.set(entity, candidate);
    }
  }
  return new Map(entities.map((entity) => [entity, names.get(entity) ?? '']));
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
