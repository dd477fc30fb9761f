import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import { Findings } from '../script/mention.ts';
import { scan, withoutComments } from '../script/scan.ts';
import { known, type Place } from '../script/text.ts';
import { readScriptFile } from './script-files.ts';

/** Where programs are told by the host, and not by the deployment, whom to call: files, and folders of them. */
const SETTINGS: readonly { readonly programs: RegExp; readonly places: readonly string[] }[] = [
  {
    programs: /^(apt|apt-get|aptitude)$/,
    places: [
      '/etc/apt/sources.list',
      '/etc/apt/sources.list.d/',
      '/etc/apt/apt.conf',
      '/etc/apt/apt.conf.d/',
    ],
  },
  { programs: /^pip[\d.]*$/, places: ['/etc/pip.conf', '~/.config/pip/pip.conf', '~/.pip/pip.conf'] },
  { programs: /^(npm|npx|pnpm|yarn)$/, places: ['/etc/npmrc', '/usr/etc/npmrc', '~/.npmrc', '~/.yarnrc'] },
  { programs: /^git$/, places: ['/etc/gitconfig', '~/.gitconfig', '~/.config/git/config'] },
  { programs: /^curl$/, places: ['~/.curlrc'] },
  { programs: /^wget$/, places: ['/etc/wgetrc', '~/.wgetrc'] },
];
const MOST_FILES = 40;

/** What the settings of this host name, for the programs that are known by name; each file is read once. */
export class ProgramSettings {
  readonly #home: string | null;
  readonly #read = new Map<readonly string[], Findings>();

  constructor(home: string | null) {
    this.#home = home;
  }

  /** Reads the settings of a program, if it has any that are known and they were not read before. */
  prepare(program: string): void {
    const { places } = SETTINGS.find(({ programs }) => programs.test(basename(program))) ?? {};
    if (!places || this.#read.has(places)) return;
    const findings = new Findings();
    this.#read.set(places, findings);
    for (const file of places.flatMap((place) => this.#filesAt(place)).slice(0, MOST_FILES)) {
      const read = readScriptFile(file);
      if (read.kind === 'text') scan(withoutComments(known(read.text, { file, line: 1 }), '#;'), findings);
    }
  }

  /** Where a program is told of a destination; null where it is not, or is not prepared for. */
  find(program: string, names: readonly Name[], address: Address | null): Place | null {
    const { places } = SETTINGS.find(({ programs }) => programs.test(basename(program))) ?? {};
    return (places && this.#read.get(places)?.find(names, address)) ?? null;
  }

  #filesAt(place: string): string[] {
    if (place.startsWith('~/')) return this.#home === null ? [] : [join(this.#home, place.slice(2))];
    if (!place.endsWith('/')) return [place];
    try {
      return readdirSync(place)
        .sort()
        .map((name) => join(place, name));
    } catch {
      return [];
    }
  }
}
