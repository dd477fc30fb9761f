import { describe, expect, test } from 'vitest';
import { parseReport } from '../report.ts';
import { findKernel, runInVm } from './machine.ts';

const MIB = 2 ** 20;

const POLICY = `version: 1
services: { mysql: { hosts: ["*.mysql.internal"] } }
deployments: { mysql: { limits: { cpu: 50%, memory: 64MiB, tasks: 64 } } }
`;

/** Doubles a text until it is killed; what is killed is the run's command, or a child of it. */
const HOG = 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done';
const CHILD_HOG = `bash -c "${HOG.replaceAll('$', '\\$')}"; echo "child $?"`;
/** Six at once, of which each that cannot be is refused. */
const FORKS = 'i=0; while [ $i -lt 6 ]; do busybox sleep 1 & i=$((i+1)); done; wait';
/** Four seconds of nothing but work; then the microseconds of a processor it had. */
const BUSY = `end=$((SECONDS + 4)); while ((SECONDS < end)); do :; done
while read -r key value; do [ "$key" = usage_usec ] && echo "$0 had $value"; done < $(own)/cpu.stat; exit 0`;

/** The cgroup a shell is in. */
const OWN = 'own() { echo $root$(tail -n 1 /proc/self/cgroup | cut -d: -f3); }\n';

/** Started in the root cgroup, where the init of the machine and what it starts are. */
const AT_ROOT = `
export root=/sys/fs/cgroup BASH_ENV=/own.sh
acyclic run --quiet -p /policy.yaml --report /hog -- bash -c '${HOG}'; echo "hog $?"
cat /hog
acyclic run --memory 64MiB -- bash -c '${CHILD_HOG}' 2>&1; echo "child-hog $?"
acyclic run --tasks 4 --leftover kill --report /forks -- sh -c '${FORKS}' 2>&1; echo "forks $?"
cat /forks
acyclic run --quiet -- bash -c '${BUSY}' free 2>&1
acyclic run --quiet --cpu 50% --report /half -- bash -c '${BUSY}' half 2>&1
cat /half
for each in $root/*/; do [ -d "$each" ] && echo "there is $each"; done
echo end`;

/** Started in `box`, a cgroup as systemd would delegate it. */
const IN_A_BOX = `
export root=/sys/fs/cgroup BASH_ENV=/own.sh
box=$root/box
left() { for each in $root/*/ $box/*/; do [ -d "$each" ] && echo "there is $each"; done; echo "box passes on [$(cat $box/cgroup.subtree_control)]"; }
in_box() { bash -c 'echo $$ > $root/box/cgroup.procs && exec "$@"' bash "$@"; }
in_the_box() { echo "in the box [$(cat $box/cgroup.procs | tr '\\n' ' ')]"; }
mkdir $box
in_box acyclic run --memory 64MiB -- uname 2>&1; echo "not-passed-on $?"
echo '+cpu +memory +pids' > $root/cgroup.subtree_control
in_box acyclic run --quiet -p /policy.yaml --memory 32MiB --report /boxed -- bash -c '
  echo "inside $(own): $(cat $(own)/cpu.max) $(cat $(own)/memory.max) $(cat $(own)/pids.max)"
  busybox setsid busybox sleep 300 > /dev/null 2>&1 & run=$(own); echo "stays $!"
  mkdir $run/nested; echo $! > $run/nested/cgroup.procs; echo $$ > $run/nested/cgroup.procs; echo +memory > $run/cgroup.subtree_control; echo "nests $?"
  ' 2>&1; echo "boxed $?"
cat /boxed
in_the_box; left
bash -c 'echo $$ > $root/box/cgroup.procs; acyclic run --memory 64MiB -- uname 2>&1; echo "crowded $?"'
kill $(cat $box/cgroup.procs); busybox sleep 1
in_box acyclic run --quiet --memory 512MiB -- acyclic run --quiet --memory 32MiB -- bash -c 'echo "nested in $(own): $(cat $(own)/memory.max)"' 2>&1; echo "nested $?"
in_box acyclic run --memory 64MiB --report /off -- bash -c 'echo max > $(own)/memory.max' 2>&1; echo "off $?"
cat /off
left
in_box acyclic run --quiet --memory 64MiB -- bash -c 'echo > /started; busybox sleep 4; busybox sleep 300 & exit' &
tries=0; while [ ! -e /started ] && [ $tries -lt 300 ]; do busybox sleep 0.1; tries=$((tries+1)); done
kill -9 $(cat $box/acyclic-aside-*/cgroup.procs); busybox sleep 1
echo "orphan has $(cat $box/acyclic-[0-9]*/memory.max)"
busybox sleep 5
acyclic run --quiet -- uname; echo "swept $?"
in_the_box; left
kill $(cat $box/cgroup.procs); busybox sleep 1
in_box acyclic doctor
ls /run/acyclic/runs
echo end`;

/** Limits and exit of the run that a report was printed of, after a line that begins so. */
function reported(said: string, after: string) {
  const line = said.slice(said.indexOf(`\n${after}`)).match(/^\{.*"kind":"summary".*$/m)?.[0] ?? '';
  return parseReport(line)[0] as { limits: { [key: string]: number }; exit: object };
}

function numberAfter(said: string, text: string): number {
  return Number(said.split(text)[1]?.match(/^\d+/)?.[0]);
}

/** Series that are supported; on this machine the controllers may be bound to cgroup v1. */
describe.each(['6.1', '6.12'])('on Linux %s', (series) => {
  const kernel = findKernel(series);
  const inVm = (script: string) =>
    runInVm(kernel ?? '', script, { 'policy.yaml': POLICY, 'own.sh': OWN }).replaceAll('\r', '');
  const unless = kernel === null ? ` (the package archive has no cloud kernel ${series})` : '';

  test.skipIf(kernel === null)(
    `limits hold, and what they did is told${unless}`,
    { timeout: 300_000 },
    () => {
      const said = inVm(AT_ROOT);

      // Memory: the command itself is killed, or a child of it.
      expect(said).toContain('\nhog 137\n');
      expect(reported(said, 'hog 137')).toMatchObject({
        exit: { command: 137, acyclic: 137 },
        limits: { cpu: 50, memory: 64 * MIB, tasks: 64, in_force: true, oom_kills: 1, tasks_refused: 0 },
      });
      expect(said).toMatch(
        /\nchild 137\n[\s\S]*\n {2}killed {3}out of memory: 1 process \(memory\.max 64MiB\)\n[\s\S]*\nchild-hog 0\n/,
      );

      // Tasks: fork fails with EAGAIN.
      expect(said).toMatch(/can't fork: Resource temporarily unavailable[\s\S]*\nforks 2\n/);
      expect(said).toMatch(/\n {2}refused {2}too many tasks: 1 fork \(pids\.max 4\)\n/);
      expect(reported(said, 'forks 2').limits).toMatchObject({ tasks: 4, tasks_refused: 1, oom_kills: 0 });

      // Half a processor is about half of what the same loop has without.
      const [free, half] = [numberAfter(said, '\nfree had '), numberAfter(said, '\nhalf had ')];
      expect(half / free).toBeGreaterThan(0.25);
      expect(half / free).toBeLessThan(0.75);
      expect(reported(said, 'half had').limits.throttled_ms).toBeGreaterThan(500);

      expect(said).not.toContain('\nthere is ');
      expect(said).toContain('\nend');
    },
  );

  test.skipIf(kernel === null)(
    `in a cgroup of its own Acyclic steps aside, and leaves all as it was${unless}`,
    { timeout: 300_000 },
    () => {
      const said = inVm(IN_A_BOX);
      expect(said).toMatch(
        /cannot limit memory: \/sys\/fs\/cgroup does not pass the memory controller on[^\n]*systemd-run --scope -p Delegate=yes[^\n]*\nnot-passed-on 125/,
      );

      // What stays comes back to the box, also out of cgroups that the command made.
      expect(said).toMatch(/\ninside \/sys\/fs\/cgroup\/box\/acyclic-\w{26}: 50000 100000 33554432 64\n/);
      const stays = numberAfter(said, '\nstays ');
      expect(said).toContain('\nnests 0\nboxed 0\n');
      expect(reported(said, 'boxed 0').limits).toMatchObject({ memory: 32 * MIB, in_force: true });
      const clean = 'there is /sys/fs/cgroup/box/\nbox passes on []\n';
      expect(said.slice(said.indexOf('\nboxed 0'))).toContain(`\nin the box [${stays} ]\n${clean}`);

      expect(said).toMatch(
        /in \/sys\/fs\/cgroup\/box, below which the run is made, there are other processes \(busybox\[\d+\], bash\[\d+\]\)[\s\S]*\ncrowded 125\n/,
      );
      expect(said).toMatch(
        /\nnested in \/sys\/fs\/cgroup\/box\/acyclic-\w{26}\/acyclic-\w{26}: 33554432\nnested 0\n/,
      );

      // A limit that the run takes off is told.
      expect(said).toMatch(/acyclic:\S* a limit was changed or taken off[^\n]*\noff 0\n/);
      expect(reported(said, 'off 0').limits).toMatchObject({ memory: 64 * MIB, in_force: false });

      // A killed Acyclic leaves its command limited, and the next one clears up.
      expect(said).toContain('\norphan has 67108864\n');
      expect(said).toMatch(/\nswept 0\nin the box \[\d+ \]\n/);
      expect(said.slice(said.indexOf('\nswept 0'))).toContain(` ]\n${clean}`);
      expect(said).toMatch(/\nok +limits +cpu, memory and tasks of a run can be limited from here\n/);
      expect(said).toMatch(/a run can be guarded here\nend/);
    },
  );
});
