/** A module of a `hosts:` line of nsswitch.conf(5), and the actions in brackets after it. */
interface Step {
  readonly module: string;
  readonly actions: string;
}

/** The modules of every `hosts:` line. */
export function hostsModules(nsswitch: string): string[] {
  return hostsLines(nsswitch).flatMap((steps) => steps.map(({ module }) => module));
}

/**
 * Whether `dns` is asked in every `hosts:` line that names a module, though this one answers UNAVAIL, as it does where
 * nobody listens to it.
 */
export function fallsBackToDns(nsswitch: string, asked: RegExp): boolean {
  return hostsLines(nsswitch).every((steps) => {
    const at = steps.findIndex(({ module }) => asked.test(module));
    const dns = steps.findIndex(({ module }) => module === 'dns');
    return at < 0 || (dns >= 0 && steps.slice(at, dns).every((step) => passesOn(step, asked)));
  });
}

/** A module that knows names of this network alone may well end a lookup of those. */
function passesOn({ module, actions }: Step, asked: RegExp): boolean {
  if (asked.test(module)) return goesOn(actions, 'UNAVAIL');
  return module.startsWith('mdns') || goesOn(actions, 'NOTFOUND');
}

/** `[!UNAVAIL=return]`: the last action that speaks of the status decides, and without one it goes on. */
function goesOn(actions: string, status: 'UNAVAIL' | 'NOTFOUND'): boolean {
  let action = 'continue';
  for (const [, not, of = '', then = ''] of actions.matchAll(/(!?)\s*(\w+)\s*=\s*(\w+)/g))
    if ((of.toUpperCase() === status) !== (not === '!')) action = then.toLowerCase();
  return action !== 'return';
}

function hostsLines(nsswitch: string): Step[][] {
  const lines = nsswitch.replace(/#.*/g, '').matchAll(/^[ \t]*hosts[ \t]*:(.*)$/gm);
  return [...lines].map(([, text = '']) =>
    [...text.matchAll(/([^\s[]+)((?:\s*\[[^\]]*\])*)/g)].map(([, module = '', actions = '']) => ({
      module,
      actions,
    })),
  );
}
