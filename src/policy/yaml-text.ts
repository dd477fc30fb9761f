import { Composer, type CST, type Document, LineCounter, Parser, YAMLParseError } from 'yaml';
import { type PlacedFault, scan } from './scan.ts';

/** A text as YAML: its documents, with their errors in them, and where its lines begin. */
export interface YamlText {
  /** At least one, if an empty one. */
  readonly documents: readonly [Document.Parsed, ...Document.Parsed[]];
  readonly lines: LineCounter;
}

/** Keys given twice are told of by yaml-faults.ts, and only once. */
const OPTIONS = { prettyErrors: false, uniqueKeys: false, schema: 'core', logLevel: 'error' } as const;

/** Parses a text in one pass; a fault is what the parser must not see, and then it has not. */
export function parseYaml(text: string): YamlText | PlacedFault {
  const lines = new LineCounter();
  let found: PlacedFault | null = null;
  function* tokens(): Generator<CST.Token> {
    const parser = new Parser(lines.addNewLine);
    lines.addNewLine(0);
    const scanned = scan(text);
    for (let next = scanned.next(); ; next = scanned.next()) {
      if (next.done) {
        found = next.value;
        break;
      }
      yield* parser.next(next.value);
    }
    if (!found) yield* parser.end();
  }
  const [first, ...others] = new Composer(OPTIONS).compose(tokens(), true, text.length);
  if (found) return found;
  if (!first) throw new Error('a YAML text without a document');
  return { documents: [first, ...others], lines };
}

/** The one document of a text; others are an error in it. */
export function onlyDocument({ documents: [first, second] }: YamlText): Document.Parsed {
  if (second) {
    const [start, end] = second.range;
    first.errors.push(new YAMLParseError([start, end], 'MULTIPLE_DOCS', 'the text holds several documents'));
  }
  return first;
}
