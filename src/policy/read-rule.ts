import type { Prefix } from '../model/address.ts';
import type { Answer } from '../model/verdict.ts';
import type { Path } from './path.ts';
import type { HostPattern } from './pattern.ts';
import { readHost } from './pattern.ts';
import { problemAt } from './place.ts';
import type { Rule } from './policy.ts';
import { type PortSpec, readPorts } from './ports.ts';
import { readPrefix } from './prefix.ts';
import { type Fault, fault, isFault, type Problem } from './problem.ts';
import type { ReadFile } from './read-file.ts';
import type { RuleData } from './schema.ts';

/** Reads the values of one file; what is wrong goes to `problems`, with its place. */
export class ValueReader {
  readonly file: ReadFile;
  readonly #problems: Problem[];
  readonly #serviceFault: (name: string) => Fault | null;
  /** Of thousands of rules a few ports. */
  readonly #ports = new Map<string | number, PortSpec | Fault>();

  constructor(file: ReadFile, problems: Problem[], serviceFault: (name: string) => Fault | null) {
    this.file = file;
    this.#problems = problems;
    this.#serviceFault = serviceFault;
  }

  /** `file:line` of a value. */
  source(path: Path): string {
    return `${this.file.path}:${this.file.places.value(path).line}`;
  }

  /** `file:line` of a key. */
  keySource(path: Path): string {
    return `${this.file.path}:${this.file.places.key(path).line}`;
  }

  complain(
    path: Path,
    found: Fault,
    severity: Problem['severity'] = 'error',
    at: 'value' | 'key' = 'value',
  ): void {
    const place = at === 'key' ? this.file.places.key(path) : this.file.places.value(path);
    this.#problems.push({ ...problemAt(this.file.path, place, found), severity });
  }

  /** A value read by a grammar; null when it is at fault. */
  read<T>(path: Path, read: () => T | Fault): T | null {
    const value = read();
    if (!isFault(value)) return value;
    this.complain(path, value);
    return null;
  }

  list<T, V>(path: Path, values: readonly V[] | undefined, read: (value: V) => T | Fault): T[] {
    return (values ?? []).flatMap((value, i) => this.read([...path, i], () => read(value)) ?? []);
  }

  ports(path: Path, values: readonly (string | number)[] | undefined): readonly PortSpec[] | null {
    return values ? this.list(path, values, (value) => this.#portsOf(value)) : null;
  }

  #portsOf(value: string | number): PortSpec | Fault {
    const known = this.#ports.get(value) ?? readPorts(value);
    this.#ports.set(value, known);
    return known;
  }

  /** The name of a service that exists. */
  service(path: Path, name: string | undefined): string | null {
    if (name === undefined) return null;
    const found = this.#serviceFault(name);
    if (found) this.complain(path, found);
    return found ? null : name;
  }

  rules(path: Path, rules: readonly RuleData[] | undefined, answer: Answer): Rule[] {
    return (rules ?? []).flatMap((rule, i) => this.#rule([...path, i], rule, answer) ?? []);
  }

  #rule(path: Path, data: RuleData, answer: Answer): Rule | null {
    const { host, address, service } = data;
    if (host === undefined && address === undefined && service === undefined) {
      this.complain(
        path,
        fault('bad-rule', 'the rule does not say what it is about: a `service`, `host` or `address`'),
      );
      return null;
    }
    if (service !== undefined && (host !== undefined || address !== undefined)) {
      this.complain(
        path,
        fault('bad-rule', 'the rule names a `service` and a `host` or `address`: make it two rules'),
      );
      return null;
    }
    const pattern: HostPattern | null =
      host === undefined ? null : this.read([...path, 'host'], () => readHost(host));
    const prefix: Prefix | null =
      address === undefined ? null : this.read([...path, 'address'], () => readPrefix(address));
    return {
      answer,
      source: this.source(path),
      id: data.id ?? null,
      service: this.service([...path, 'service'], service),
      host: pattern,
      address: prefix,
      ports: this.ports([...path, 'ports'], data.ports),
      reason: data.reason ?? null,
      owner: data.owner ?? null,
    };
  }
}
