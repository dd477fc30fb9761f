// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sendmsg() with an address, and recvmsg() that asks for one: UDP without a connection. */
#include "call.bpf.h"

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	return outbound4(ctx, EVENT_SEND, HOOK_SENDMSG4);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	return outbound6(ctx, EVENT_SEND, HOOK_SENDMSG6);
}

/* Remembers whom the socket heard from first: answering is not calling. Whom it called is on record. */
static __always_inline void heard(struct bpf_sock_addr *ctx, const __u8 *from, __u16 port)
{
	struct bpf_sock *sk = ctx->sk;
	struct peer_key key = {};
	struct socket *socket;
	__u8 yes = 1;

	if (!sk)
		return;
	// One that was there before the guard has no storage yet, and what it answers is no call either.
	socket = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket || (socket->port == port && same_address(socket->address, from)))
		return;
	key.cookie = bpf_get_socket_cookie(ctx);
	copy_address(key.address, from);
	key.port = port;
	if (!bpf_map_lookup_elem(&peers, &key))
		bpf_map_update_elem(&peers, &key, &yes, BPF_ANY);
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	__u8 from[16] __attribute__((aligned(8)));
	__u16 port = bpf_ntohs(ctx->user_port);
	struct socket *socket;

	map_ipv4(from, ctx->user_ip4);
	socket = turned_to(ctx, from, port);
	if (socket)
		restore4(ctx, socket);
	else
		heard(ctx, from, port);
	return 1;
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	__u32 from[4] __attribute__((aligned(8)));
	__u16 port = bpf_ntohs(ctx->user_port);
	struct socket *socket;

	from[0] = ctx->user_ip6[0];
	from[1] = ctx->user_ip6[1];
	from[2] = ctx->user_ip6[2];
	from[3] = ctx->user_ip6[3];
	socket = turned_to(ctx, (__u8 *)from, port);
	if (socket)
		restore6(ctx, socket);
	else
		heard(ctx, (__u8 *)from, port);
	return 1;
}
