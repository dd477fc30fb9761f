/** What `POST /v1/runs` is asked for a command with no option given, but for what is in `asked`. */
export function plainRequest(command: readonly string[], asked: object = {}): object {
  return {
    ...{ deployment: null, file: command[0], command, cwd: process.cwd(), path: process.env.PATH ?? '' },
    ...{ home: null, labels: {}, mode: null, requireEnforce: false, allow: [], deny: [], default: null },
    ...{ failOn: 'never', leftover: 'release', limits: { cpu: null, memory: null, tasks: null } },
    ...{ syscalls: false, breakGlass: null, ...asked },
  };
}
