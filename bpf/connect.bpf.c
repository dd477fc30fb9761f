// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sockets from birth to death, and connect(): TCP, connected UDP, Fast Open, MPTCP subflows, io_uring. */
#include "call.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("cgroup/sock_create")
int sock_create(struct bpf_sock *ctx)
{
	struct run_state *state;
	struct socket *socket;
	__u64 run = task_run();

	if (!run)
		return 1;
	// Subflows of MPTCP pass no message hook. Who asks for it where it cannot be had goes on with TCP.
	state = bpf_map_lookup_elem(&runs, &run);
	if (ctx->protocol == IPPROTO_MPTCP && state && state->flags & RUN_READS) {
		bpf_set_retval(-EPROTONOSUPPORT);
		return 0;
	}
	socket = bpf_sk_storage_get(&sockets, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket) {
		count_loss(LOSS_SOCKETS, run);
		return 1;
	}
	socket->run = run;
	socket->netns = bpf_get_netns_cookie(ctx);
	socket->pid = bpf_get_current_pid_tgid() >> 32;
	return 1;
}

/* The last word on a socket's sends; and a port handed back must not name its last user to the DNS proxy. */
SEC("cgroup/sock_release")
int sock_release(struct bpf_sock *ctx)
{
	struct socket *socket = bpf_sk_storage_get(&sockets, ctx, 0, 0);
	struct client_key key = {};

	if (!socket)
		return 1;
	tell_repeats(socket);
	leave(socket);
	if (!socket->client_port)
		return 1;
	key.protocol = socket->protocol;
	key.family = is_mapped(socket->address) ? 4 : 6;
	key.port = socket->client_port;
	bpf_map_delete_elem(&clients, &key);
	return 1;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return outbound4(ctx, EVENT_CONNECT, HOOK_CONNECT4);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return outbound6(ctx, EVENT_CONNECT, HOOK_CONNECT6);
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	__u8 peer[16] __attribute__((aligned(8)));
	struct socket *socket;

	map_ipv4(peer, ctx->user_ip4);
	socket = turned_to(ctx, peer, bpf_ntohs(ctx->user_port));
	if (socket)
		restore4(ctx, socket);
	return 1;
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	__u32 peer[4] __attribute__((aligned(8)));
	struct socket *socket;

	peer[0] = ctx->user_ip6[0];
	peer[1] = ctx->user_ip6[1];
	peer[2] = ctx->user_ip6[2];
	peer[3] = ctx->user_ip6[3];
	socket = turned_to(ctx, (__u8 *)peer, bpf_ntohs(ctx->user_port));
	if (socket)
		restore6(ctx, socket);
	return 1;
}
