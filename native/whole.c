// SPDX-License-Identifier: Apache-2.0
// acyclic.node: everything there is, for who guards.
#include "acyclic.h"

const struct export *const addon_exports[] = {
	object_exports, map_exports,	link_exports,	program_exports,  ring_exports, spawn_exports, wait_exports,
	signal_exports, socket_exports, diag_exports,	host_exports,	  probe_exports, datagram_exports, NULL,
};

void addon_begin(void)
{
	capture_install();
}
