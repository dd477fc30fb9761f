import type { Place } from './harness.ts';

/** Runs a Python program that drives a command on a terminal of its own; it prints what it saw. */
export function onTerminal(place: Pick<Place, 'bare'>, steps: string, command: readonly string[]): string {
  const program = `
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
def read(seconds, until=None):
    end, seen = time.time() + seconds, b''
    while time.time() < end and not (until and until in seen):
        if select.select([fd], [], [], 0.05)[0]:
            try: seen += os.read(fd, 4096)
            except OSError: break
    sys.stdout.write(seen.decode(errors='replace')); sys.stdout.flush()
def send(text): os.write(fd, text)
${steps}
sys.stdout.write('STATUS %d' % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`;
  return place.bare(['python3', '-c', program, ...command]).stdout;
}
