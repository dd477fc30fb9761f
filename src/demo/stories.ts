import { PLACES } from './places.ts';

/** One deploy script with a loop in it, and what to say about it. */
export interface Story {
  /** Also the folder of its script under examples/demo. */
  readonly kind: 'direct' | 'hidden' | 'transient';
  readonly title: string;
  /** What the reader should look at. */
  readonly words: string;
  /** Where its call to github.com goes. */
  readonly github: readonly string[];
  /** Said of the unguarded run on a good day, after how often github.com was called. */
  readonly goodDay: string;
  readonly badDay: string;
  /** Whether the script gets by without github.com. */
  readonly survives: boolean;
  readonly guarded: string;
}

export const OPENING = `mysql is the database, and github.com keeps its data in mysql. So whoever needs github.com to deploy mysql
cannot repair mysql on the day it is down: each waits for the other. Here are three deploy scripts for mysql
with such a loop in them. All of it runs in a sandbox on this machine, with a network, a DNS server, a mirror,
a migrations service and a github.com of its own. Nothing leaves it.`;

export const STORIES: readonly Story[] = [
  {
    kind: 'direct',
    title: 'the script itself fetches a release from github.com',
    words: 'One curl, written years ago. It has always worked.',
    github: PLACES.github,
    goodDay: 'it works, and nobody thinks of it again',
    badDay: 'github.com needs mysql, the repair of mysql needs github.com',
    survives: false,
    guarded: 'stopped at the call, with what to use instead, on a day when it costs nothing',
  },
  {
    kind: 'hidden',
    title: 'a tool on the host calls github.com on its own',
    words:
      'The script is clean: it uses the mirror. But mysqlctl, which it runs, looks for updates of itself.',
    github: PLACES.githubApi,
    goodDay: 'the tool even replaced itself in the middle of the deploy',
    badDay: 'the update check fails, and takes the restart of mysql with it',
    survives: true,
    guarded: 'the tool is named, was refused at once, and went on without',
  },
  {
    kind: 'transient',
    title: 'a service the script calls needs github.com',
    words: 'The script calls only our own migrations service. That one fetches its schema from github.com.',
    github: PLACES.github,
    goodDay: 'the call came from the migrations service: the script cannot see it',
    badDay: 'the loop runs through a service that nobody thinks of',
    survives: false,
    guarded: 'the policy says what migrations depends on, so the whole path is known before the call',
  },
];
