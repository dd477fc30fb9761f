import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Comparison, difference } from './comparison.ts';

const ROUNDS = 15;
const LINES = 2000;

const HEAD = `#!/bin/bash
set -euo pipefail
MIRROR=tools.mirror.internal
WORK=$(mktemp -d)
ARCH=$(uname -m)
failed=()
log() { printf '%s\\n' "$*" >&2; }
die() { log "$*"; exit 1; }
`;

/** A step of a deploy as they are written: options, branches, a loop, a heredoc, and what it calls. */
const step = (n: number) => `
# step ${n}: https://comment-${n}.example is not called
step_${n}() {
  local host="db-${n}.mysql.internal" port=\${1:-3306}
  log "step ${n}: migrating $host, see https://docs.example/step-${n}"
  if ! mysql -h "$host" -P "$port" -e 'select 1' >/dev/null 2>&1; then
    return 1
  fi
  curl -fsS --retry 3 -o "$WORK/tool-${n}.tgz" "https://\${MIRROR}/tools/${n}/$ARCH.tgz"
  for node in {1..3}; do
    ssh -o BatchMode=yes "deploy@node-$node.pool-${n}.internal" "systemctl restart app@${n}" || return 1
  done
  case "$ENVIRONMENT" in
    prod) api=https://api-${n}.example/v1 ;;
    *) api=https://api-${n}.staging.example/v1 ;;
  esac
  status=$(curl -fsS "$api/status?id=${n}" | jq -r '.state // "unknown"')
  [[ $status == ok ]] || die "step ${n} is $status"
  cat > "$WORK/config-${n}.yaml" <<END
server: { host: queue-${n}.internal, url: "amqp://queue-${n}.internal:5672/v" }
END
}
step_${n} 3307 || failed+=("${n}")
`;

/** `acyclic lint` of a long script against one that does nothing: what is left is without the start of the program. */
export function lintComparison(directory: string, acyclic: string, policy: string): Comparison {
  let script = HEAD;
  for (let n = 0; script.split('\n').length <= LINES; n++) script += step(n);
  writeFileSync(join(directory, 'long.sh'), script);
  writeFileSync(join(directory, 'short.sh'), '#!/bin/bash\ntrue\n');
  const lint = (name: string) =>
    new Promise<number>((resolve) => {
      const start = performance.now();
      // It exits with 1, since most of these hosts would be denied.
      execFile(acyclic, ['lint', '-p', policy, join(directory, name)], () =>
        resolve(performance.now() - start),
      );
    });
  return {
    what: `\`acyclic lint\` of a script of ${script.split('\n').length} lines against one of two, the difference`,
    unit: 'ms',
    target: 'under 300 ms',
    rounds: ROUNDS,
    bare: () => lint('short.sh'),
    guarded: () => lint('long.sh'),
    value: difference,
  };
}
