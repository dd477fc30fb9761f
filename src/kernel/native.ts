import {
  type Binding,
  BindingError,
  loadBinding,
  loadProcessBinding,
  type ProcessBinding,
} from './binding.ts';
import { SetupFailure } from './failure.ts';

let whole: Binding | null = null;
let part: ProcessBinding | null = null;

/** The addon, loaded at the first call and kept, as Node itself keeps it. Throws SetupFailure `no-addon`. */
export function native(): Binding {
  whole ??= load(loadBinding);
  return whole;
}

/**
 * What of it starts and watches processes: of the addon where that is loaded, otherwise of the small one, so that who
 * asks a daemon to guard needs no libbpf. Signals are caught by one of the two. Throws SetupFailure `no-addon`.
 */
export function processes(): ProcessBinding {
  part ??= whole ?? load(loadProcessBinding);
  return part;
}

function load<T>(binding: () => T): T {
  try {
    return binding();
  } catch (error) {
    if (!(error instanceof BindingError)) throw error;
    const remedy =
      error.code === 'LIBBPF_MISSING' ? 'install it: apt-get install libbpf1' : 'build it: make build';
    throw new SetupFailure('no-addon', error.message, remedy, { cause: error });
  }
}
