import { readFileSync } from 'node:fs';
import { reportLine } from '../src/model/event-schema.ts';

/** Events and summaries in JSON Lines, each held to the published schema. */
export function parseReport(text: string) {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const object = JSON.parse(line);
    const { error } = reportLine.safeParse(object);
    if (error) throw new Error(`not as docs/events.schema.json has it: ${line}\n${error}`);
    return object;
  });
}

/** A report file, the summary last. */
export function readReport(file: string) {
  return parseReport(readFileSync(file, 'utf8'));
}
