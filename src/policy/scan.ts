import { Lexer } from 'yaml';
import { type Fault, fault } from './problem.ts';

const DEEPEST = 64;
const MOST_ANCHORS = 1000;
const ONE_LINE_INDICATORS = new Set(['-', '?', ':']);

/** A fault at a place: an offset into the text, in UTF-16 units, and a length. */
export interface PlacedFault extends Fault {
  readonly offset: number;
  readonly length: number;
}

/**
 * The tokens of a text, up to the first that the YAML parser must not see, since it is slow or deep on it: nesting
 * beyond any policy, masses of anchors, tags. Returns that fault; null when there is nothing of the kind.
 */
export function* scan(text: string): Generator<string, PlacedFault | null> {
  let [offset, flow, indicators, anchors] = [0, 0, 0, 0];
  let inScalar = false;
  for (const token of new Lexer().lex(text)) {
    const first = token[0] ?? '';
    if (!inScalar && (first === '\x02' || first === '\x18' || first === '\x1f')) {
      inScalar = first === '\x1f';
      yield token;
      continue;
    }
    if (!inScalar) {
      if (first === '[' || first === '{') flow++;
      else if (first === ']' || first === '}') flow = Math.max(0, flow - 1);
      else if (first === '\n' || first === '\r') indicators = 0;
      else if (flow === 0 && ONE_LINE_INDICATORS.has(token)) indicators++;
      else if (first === '&') anchors++;
      else if (first === '!') return placed('tag', `YAML tags such as \`${token}\` are not used in a policy`);
      if (flow > DEEPEST || indicators > DEEPEST) return placed('nesting', 'the YAML is nested too deeply');
      if (anchors > MOST_ANCHORS) return placed('nesting', `the YAML has more than ${MOST_ANCHORS} anchors`);
    }
    inScalar = false;
    offset += token.length;
    yield token;

    function placed(code: 'tag' | 'nesting', message: string): PlacedFault {
      return { ...fault(code, message), offset, length: token.length };
    }
  }
  return null;
}
