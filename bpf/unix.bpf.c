// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * connect() of UNIX sockets, before the kernel looks for the peer: the address is its own copy, so that no other thread
 * of the caller can change it. This hook is there from Linux 6.7 on; before, nothing of this file is loaded.
 */
#include "maps.bpf.h"

#define SUN_PATH 2

struct spelling {
	char raw[UNIX_PATH_SIZE];
	struct closed_key *key;
	/* The byte before was a slash. */
	__u32 slash;
};

/* Leaves out what a path may have more of and be the same: `//` and `/./`. */
static long spell_byte(__u32 at, struct spelling *spelling)
{
	__u32 to = UNIX_PATH_SIZE;
	char c, next;

	// Read so, it is any number to the verifier, which would else go through every length there can be.
	bpf_probe_read_kernel(&to, sizeof(to), &spelling->key->length);
	if (at >= UNIX_PATH_SIZE || to >= UNIX_PATH_SIZE)
		return 1;
	c = spelling->raw[at];
	if (!c)
		return 1;
	next = at + 1 < UNIX_PATH_SIZE ? spelling->raw[at + 1] : 0;
	if (spelling->slash && (c == '/' || (c == '.' && next == '/')))
		return 0;
	spelling->key->path[to] = c;
	spelling->key->length = to + 1;
	spelling->slash = c == '/';
	return 0;
}

/* What the caller of connect() calls; 0 where it cannot be read. */
static __always_inline int read_path(struct bpf_sock_addr *ctx, struct closed_key *key)
{
	struct spelling spelling = {.key = key};
	struct bpf_sock_addr_kern *call = (void *)ctx;
	const void *address = NULL;
	__u32 length = 0;

	if (bpf_core_read(&address, sizeof(address), &call->uaddr) ||
	    bpf_core_read(&length, sizeof(length), &call->uaddrlen) || length <= SUN_PATH)
		return 0;
	length -= SUN_PATH;
	if (length > UNIX_PATH_SIZE)
		length = UNIX_PATH_SIZE;
	if (bpf_probe_read_kernel(spelling.raw, length, address + SUN_PATH))
		return 0;
	if (spelling.raw[0]) {
		bpf_loop(UNIX_PATH_SIZE, spell_byte, &spelling, 0);
	} else {
		__builtin_memcpy(key->path, spelling.raw, sizeof(spelling.raw));
		key->length = length;
	}
	return 1;
}

static __always_inline void tell_closed(const struct closed_key *key, __u32 errno)
{
	struct closed_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_loss(LOSS_EVENTS, key->run);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	fill_header(&event->header, EVENT_CLOSED, key->run);
	event->errno = errno;
	event->length = key->length;
	__builtin_memcpy(event->path, key->path, sizeof(event->path));
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, submit_flags(0));
}

/* The socket of a run may be in the hands of a process outside, to which nothing is closed. */
SEC("cgroup/connect_unix")
int connect_unix(struct bpf_sock_addr *ctx)
{
	struct closed_key key = {.run = task_run()};
	__u32 *errno;

	if (!key.run)
		return 1;
	if (!read_path(ctx, &key)) {
		count_loss(LOSS_EVENTS, key.run);
		return 0;
	}
	errno = bpf_map_lookup_elem(&closed_sockets, &key);
	if (!errno)
		return 1;
	tell_closed(&key, *errno);
	bpf_set_retval(-(int)*errno);
	return 0;
}
