// SPDX-License-Identifier: Apache-2.0
// acyclic-process.node: what starts a command and watches over it, for who asks a daemon to guard. It needs no libbpf.
#include "acyclic.h"

const struct export *const addon_exports[] = { spawn_exports, wait_exports, signal_exports, socket_exports, NULL };

void addon_begin(void)
{
}
