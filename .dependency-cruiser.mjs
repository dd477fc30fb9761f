/**
 * Imports point down (docs: design §6). Each folder names what it may import of ours, and why the line is drawn
 * there: that sentence is what a violation prints.
 */
const LAYERS = [
  {
    folder: 'model',
    may: [],
    why: 'model holds the words all folders share; a word that imports a folder drags it into every other.',
  },
  {
    folder: 'wire',
    may: ['model'],
    why: 'wire decodes bytes of strangers; alone, it can be fuzzed and replayed without the rest.',
  },
  {
    folder: 'graph',
    may: ['model'],
    why: 'graph is mathematics on services; it must run where there is no kernel, policy file or store.',
  },
  {
    folder: 'policy',
    may: ['model', 'graph'],
    why: 'policy is pure, so that one verdict can be tested against the kernel and replayed over old events.',
  },
  {
    folder: 'audit',
    may: ['model'],
    why: 'the audit trail outlives versions of everything else; it knows events, and nobody who makes them.',
  },
  {
    folder: 'kernel',
    may: ['model'],
    why: 'kernel moves data in and out of BPF; what the data means is decided above, or it is decided twice.',
  },
  {
    folder: 'dns',
    may: ['policy', 'wire', 'model'],
    why: 'dns decides and answers; it reaches the kernel through hooks that guard hands it, so it runs without one.',
  },
  {
    folder: 'script',
    may: ['model'],
    why: 'script reads what strangers wrote; it knows hosts and lines, and nothing of who judges them or who runs them.',
  },
  {
    folder: 'guard',
    may: ['audit', 'dns', 'graph', 'kernel', 'model', 'policy', 'script', 'wire'],
    why: 'guard is the only composer; it is composed of what is below, and knows neither daemon nor command line.',
  },
  {
    folder: 'daemon',
    may: ['guard', 'audit', 'dns', 'graph', 'kernel', 'model', 'policy', 'script', 'wire'],
    why: 'daemon serves the guard over a socket; clients of any kind come to it, it does not know them.',
  },
  {
    folder: 'demo',
    may: ['model', 'wire'],
    why: 'the demo is a world for the guard to be seen in; sharing the code of the guard would let both be wrong alike.',
  },
];

const layerRules = LAYERS.map(({ folder, may, why }) => ({
  name: `${folder}-imports-down`,
  comment: why,
  severity: 'error',
  from: { path: `^src/${folder}/` },
  to: { path: '^src/', pathNot: `^src/(${[folder, ...may].join('|')})[/.]` },
}));

export default {
  forbidden: [
    ...layerRules,
    {
      name: 'policy-and-graph-are-pure',
      comment:
        'policy and graph touch no file, clock or socket: what is pure can be replayed and property-tested.',
      severity: 'error',
      from: { path: '^src/(policy|graph)/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'script-is-pure',
      comment:
        'script is given the text of files, and can open none: what a hostile script names cannot make it read, wait or run.',
      severity: 'error',
      from: { path: '^src/script/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'lint-without-kernel',
      comment: 'a script is read before anything runs: on a laptop and in CI, without libbpf or root.',
      severity: 'error',
      from: { path: '^src/cli/lint[a-z-]*\\.ts$' },
      to: { path: '^src/kernel/', reachable: true },
    },
    {
      name: 'client-without-guard',
      comment:
        'the client must work where libbpf is not installed, so it reaches no guard or kernel, not even by way of others.',
      severity: 'error',
      from: { path: '^src/daemon/client\\.ts$' },
      to: { path: '^src/(guard|kernel)/', reachable: true },
    },
    {
      name: 'policy-commands-without-kernel',
      comment:
        'policies and graphs are read, compared and learned where no guard can run: on a laptop and in CI, without libbpf or root.',
      severity: 'error',
      from: { path: '^src/cli/(policy|graph)[^/]*\\.ts$' },
      to: { path: '^src/kernel/', reachable: true },
    },
    {
      name: 'demo-is-for-cli-and-tests',
      comment: 'nothing that guards may depend on the sandbox it is shown in.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli|demo)/' },
      to: { path: '^src/demo/' },
    },
    {
      name: 'cli-is-the-top',
      comment:
        'what the command line needs, others may need without it: a daemon and a dashboard have no terminal.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'program-without-tests',
      comment: 'the program ships without its tests and tools.',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { path: ['^(test|bench)/', '\\.test\\.ts$'], dependencyTypesNot: ['npm', 'npm-dev'] },
    },
    {
      name: 'program-without-dev-packages',
      comment: 'the program ships without development packages; one it needs belongs in dependencies.',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm'] },
    },
    {
      name: 'no-cycles',
      comment:
        'a cycle of modules cannot be read, tested or loaded in part; and this program of all should have none.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'resolvable',
      comment: 'an import that resolves to nothing is checked by no other rule.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // A type is a dependency too: it is how a lower folder learns of a higher one.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
