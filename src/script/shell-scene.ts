import type { Scene } from './expand.ts';
import { known, type Place, type Text } from './text.ts';
import { ANYTHING, type Variable } from './variables.ts';
import type { Source, State, World } from './walker.ts';

/** Commands within commands, sources within sources, calls within calls. */
const MOST_NESTED = 60;

/** Shell code at one place: what its words are expanded by. */
export abstract class ShellScene implements Scene {
  readonly world: World;
  readonly state: State;
  protected readonly code: Source;
  protected readonly depth: number;

  constructor(world: World, code: Source, state: State, depth: number) {
    this.world = world;
    this.state = state;
    this.code = code;
    this.depth = depth;
  }

  abstract output(part: Parameters<Scene['output']>[0]): readonly Text[];
  abstract process(part: Parameters<Scene['process']>[0]): void;

  spend(steps = 1): boolean {
    return this.world.budget.spend(steps);
  }

  placeOf(offset: number): Place {
    return this.code.placeOf(offset);
  }

  variable(name: string): Variable {
    this.world.read(name);
    const { variables, script, main, cwd } = this.state;
    const paths: Record<string, string | null> = { 0: main, BASH_SOURCE: script, PWD: cwd };
    const path = Object.hasOwn(paths, name) ? paths[name] : undefined;
    if (path !== undefined) return path === null ? ANYTHING : only(known(path, this.placeOf(0)));
    if (name === '*') return variables.get('@');
    if (!/^[1-9]\d?$/.test(name)) return variables.get(name);
    const { items, open } = variables.get('@');
    const item = open ? undefined : items?.[Number(name) - 1];
    return item ? { ...ANYTHING, values: item, open: false } : ANYTHING;
  }

  assign(name: string, values: readonly Text[]): void {
    this.state.variables.set(name, { values, open: true, items: null });
  }

  /** The state of a process of its own, or of a way that may be gone. */
  fork(): State {
    this.spend(this.state.variables.size >> 3);
    return { ...this.state, variables: this.state.variables.copy() };
  }

  protected get tooDeep(): boolean {
    return this.depth >= MOST_NESTED;
  }

  /** Code in a word is parsed when it is looked at: again and again where it is nested. */
  protected mayParse({ pos, end }: { readonly pos: number; readonly end: number }): boolean {
    return this.spend((end - pos) >> 3) && this.mayGoOn(this.placeOf(pos));
  }

  /** Whether there is work left to spend; where not, that is on record. */
  protected mayGoOn(place: Place): boolean {
    if (!this.tooDeep && !this.world.budget.spent) return true;
    this.world.findings.cannotTell('unread', 'what follows: it is too long or too nested to follow', place);
    return false;
  }
}

function only(value: Text): Variable {
  return { ...ANYTHING, values: [value], open: false };
}
