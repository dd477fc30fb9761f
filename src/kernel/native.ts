import { type Binding, BindingError, loadBinding } from './binding.ts';
import { SetupFailure } from './failure.ts';

let loaded: Binding | null = null;

/** The addon, loaded at the first call and kept, as Node itself keeps it. Throws SetupFailure `no-addon`. */
export function native(): Binding {
  if (loaded) return loaded;
  try {
    loaded = loadBinding();
    return loaded;
  } catch (error) {
    if (!(error instanceof BindingError)) throw error;
    const remedy =
      error.code === 'LIBBPF_MISSING' ? 'install it: apt-get install libbpf1' : 'build it: make build';
    throw new SetupFailure('no-addon', error.message, remedy, { cause: error });
  }
}
