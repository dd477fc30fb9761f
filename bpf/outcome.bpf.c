// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How a run's TCP connections came about and ended. It runs wherever the kernel changes a socket's state, softirq for
 * the most part: whose it is says the socket's storage, never the current task.
 */
#include "maps.bpf.h"

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
/* Bit of skc_flags, include/net/sock.h SOCK_DONE: the peer's FIN has come. */
#define SOCK_DONE 2

static __always_inline void tell_outcome(const struct socket *socket, struct sock *sk, __u32 state, __u32 established)
{
	struct outcome_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	if (!event) {
		count_loss(LOSS_ENDS, socket->run);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->header.time = bpf_ktime_get_ns();
	event->header.run = socket->run;
	event->header.kind = EVENT_OUTCOME;
	event->header.pid = socket->pid;
	event->header.uid = (__u32)-1;
	event->cookie = socket->cookie;
	event->state = state;
	event->established = established;
	event->errno = BPF_CORE_READ(sk, sk_err);
	if (tcp) {
		event->sent = BPF_CORE_READ(tcp, bytes_sent) - BPF_CORE_READ(tcp, bytes_retrans);
		// A FIN counts as a byte there.
		event->received = BPF_CORE_READ(tcp, bytes_received) - !!(BPF_CORE_READ(sk, __sk_common.skc_flags) & SOCK_DONE);
	}
	bpf_ringbuf_submit(event, submit_flags(0));
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(outcome, struct sock *sk, int old, int new)
{
	struct socket *socket;

	if (new != TCP_CLOSE && !(new == TCP_ESTABLISHED && old == TCP_SYN_SENT))
		return 0;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	// Called by the run, and not by the way to the DNS proxy: what it accepted has a copy of the listener's, without.
	if (!socket || !socket->cookie || socket->redirected || !socket->port)
		return 0;
	tell_outcome(socket, sk, new == TCP_CLOSE ? OUTCOME_CLOSED : OUTCOME_CONNECTED, old != TCP_SYN_SENT);
	return 0;
}
