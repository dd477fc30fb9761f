// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Whom the sockets of runs are connected to, read by user space before it forgets an address. On no cgroup:
 * it runs when its link is read, and walks the sockets' storage, which cannot leak as a count of them would.
 */
#include "verdict.bpf.h"

static __always_inline void put_connection(struct seq_file *seq, const struct socket *socket, const __u8 *address,
					   __u32 fact)
{
	struct connection connection = {.run = socket->run, .fact = fact};

	copy_address(connection.address, address);
	bpf_seq_write(seq, &connection, sizeof(connection));
}

/*
 * A socket that sent nothing is on no record. One may be connected to an address and have sent to another
 * since: both are told.
 */
SEC("iter/bpf_sk_storage_map")
int connections(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	__u8 peer[16] __attribute__((aligned(8)));
	struct seq_file *seq = ctx->meta->seq;
	struct socket *socket = ctx->value;
	__u32 *words = (void *)peer;
	struct sock *sk = ctx->sk;
	__u8 state;

	if (!socket || !sk || !socket->run || !socket->generation || socket->redirected)
		return 0;
	state = sk->__sk_common.skc_state;
	if (socket->protocol == IPPROTO_TCP && (state == TCP_CLOSE || state == TCP_LISTEN))
		return 0;
	put_connection(seq, socket, socket->address, socket->fact);
	if (!sk->__sk_common.skc_dport)
		return 0;
	if (sk->__sk_common.skc_family == AF_INET6) {
		words[0] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[0];
		words[1] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[1];
		words[2] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[2];
		words[3] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[3];
	} else {
		map_ipv4(peer, sk->__sk_common.skc_daddr);
	}
	if (!same_address(peer, socket->address))
		put_connection(seq, socket, peer, 0);
	return 0;
}
