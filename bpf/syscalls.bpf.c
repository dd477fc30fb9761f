// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How calls returned, and calls that no cgroup hook sees: UNIX, packet and vsock sockets. These programs observe and
 * never decide: they read memory that another thread of the caller can change. They are attached only while a run
 * lives, since every process of the host pays for them.
 */
#include "maps.bpf.h"

#define AF_UNIX 1
#define AF_PACKET 17
#define AF_VSOCK 40
#define EAGAIN 11
#define EINPROGRESS 115
#define MSGHDR_NAME 0
#define MSGHDR_NAMELEN 8

struct enter {
	__u64 common;
	long nr;
	unsigned long args[6];
};

struct leave {
	__u64 common;
	long nr;
	long result;
};

/* Remembers that a task of a run is in a call that is told of when it returns. */
static __always_inline struct syscall_state *enter_call(__u32 call)
{
	struct syscall_state *state;
	__u64 run = task_run();

	if (!run)
		return NULL;
	state = bpf_task_storage_get(&syscalls, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		count_loss(LOSS_SYSCALLS, run);
		return NULL;
	}
	state->since = bpf_ktime_get_ns();
	state->call = call;
	state->family = 0;
	state->length = 0;
	return state;
}

/* Reads the address the caller gives: of a UNIX socket its path, of others the family alone. */
static __always_inline void read_address(struct syscall_state *state, const void *address, long length)
{
	__u16 family = 0;

	if (!address || length < 2 || bpf_probe_read_user(&family, sizeof(family), address))
		return;
	state->family = family;
	if (family == AF_VSOCK && length >= 16) {
		bpf_probe_read_user(state->path, 16, address);
		state->length = 16;
	}
	if (family != AF_UNIX)
		return;
	length -= 2;
	if (length > (long)sizeof(state->path))
		length = sizeof(state->path);
	barrier_var(length);
	if (length <= 0 || length > (long)sizeof(state->path))
		return;
	if (!bpf_probe_read_user(state->path, length, address + 2))
		state->length = length;
}

/* What the hooks have told of returns as they said or goes on; the rest is told: failures, and other families. */
static __always_inline int leave_call(long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct syscall_state *state = bpf_task_storage_get(&syscalls, task, 0, 0);
	struct return_event *event;
	__u64 run;
	int failed = result < 0 && result != -EAGAIN && result != -EINPROGRESS;
	int foreign;

	if (!state || !state->since)
		return 0;
	foreign = state->family == AF_UNIX || state->family == AF_PACKET || state->family == AF_VSOCK;
	run = task_run();
	if (!run || (!failed && !foreign)) {
		state->since = 0;
		return 0;
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		state->since = 0;
		count_loss(foreign ? LOSS_EVENTS : LOSS_ENDS, run);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	fill_header(&event->header, EVENT_RETURN, run);
	event->since = state->since;
	event->call = state->call;
	event->family = state->family;
	event->errno = result < 0 ? -result : 0;
	event->length = state->length;
	__builtin_memcpy(event->path, state->path, sizeof(event->path));
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	state->since = 0;
	bpf_ringbuf_submit(event, submit_flags(0));
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_connect")
int enter_connect(struct enter *ctx)
{
	struct syscall_state *state = enter_call(CALL_CONNECT);

	if (state)
		read_address(state, (const void *)ctx->args[1], (int)ctx->args[2]);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_connect")
int exit_connect(struct leave *ctx)
{
	return leave_call(ctx->result);
}

SEC("tracepoint/syscalls/sys_enter_sendto")
int enter_sendto(struct enter *ctx)
{
	struct syscall_state *state;

	// Without an address it is no call of its own.
	if (!ctx->args[4])
		return 0;
	state = enter_call(CALL_SENDTO);
	if (state)
		read_address(state, (const void *)ctx->args[4], (int)ctx->args[5]);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_sendto")
int exit_sendto(struct leave *ctx)
{
	return leave_call(ctx->result);
}

static __always_inline void read_message(struct syscall_state *state, const void *message)
{
	const void *address = NULL;
	__u32 length = 0;

	if (bpf_probe_read_user(&address, sizeof(address), message + MSGHDR_NAME) ||
	    bpf_probe_read_user(&length, sizeof(length), message + MSGHDR_NAMELEN))
		return;
	if (!address)
		state->since = 0;
	else
		read_address(state, address, length);
}

SEC("tracepoint/syscalls/sys_enter_sendmsg")
int enter_sendmsg(struct enter *ctx)
{
	struct syscall_state *state = enter_call(CALL_SENDMSG);

	if (state)
		read_message(state, (const void *)ctx->args[1]);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_sendmsg")
int exit_sendmsg(struct leave *ctx)
{
	return leave_call(ctx->result);
}

/* Of many messages the first is looked at. */
SEC("tracepoint/syscalls/sys_enter_sendmmsg")
int enter_sendmmsg(struct enter *ctx)
{
	struct syscall_state *state = enter_call(CALL_SENDMMSG);

	if (state)
		read_message(state, (const void *)ctx->args[1]);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_sendmmsg")
int exit_sendmmsg(struct leave *ctx)
{
	return leave_call(ctx->result);
}

/* Sockets that reach outside without any of the hooks. */
SEC("tracepoint/syscalls/sys_enter_socket")
int enter_socket(struct enter *ctx)
{
	struct syscall_state *state;

	if (ctx->args[0] != AF_PACKET && ctx->args[0] != AF_VSOCK)
		return 0;
	state = enter_call(CALL_SOCKET);
	if (state)
		state->family = ctx->args[0];
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_socket")
int exit_socket(struct leave *ctx)
{
	return leave_call(ctx->result);
}
