/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An outbound call at its socket: who makes it, what is decided, what is told. Shared by the connect and
 * sendmsg hooks, which run in the caller's context and can give it an errno.
 */
#ifndef ACYCLIC_CALL_H
#define ACYCLIC_CALL_H

#include "verdict.bpf.h"

#define DNS_PORT 53
#define NANOSECONDS 1000000000ull
#define HEARTBEAT_LIMIT (2 * NANOSECONDS)
/* How long a first denial waits to be told: far below what a caller notices, above what telling takes. */
#define TELL_LIMIT (NANOSECONDS / 40)
#define TELL_ROUNDS (1 << 21)
/* 127.86.0.1, where the DNS proxy listens for IPv4. */
#define PROXY_IPV4 0x7f560001

struct call {
	struct destination to;
	__u32 kind;
	__u32 hook;
	__u32 type;
	__u64 cookie;
	__u64 netns;
};

static __always_inline void proxy_address(__u8 *address, int ipv4)
{
	if (ipv4) {
		map_ipv4(address, bpf_htonl(PROXY_IPV4));
	} else {
		__builtin_memset(address, 0, 16);
		address[15] = 1;
	}
}

static __always_inline int engine_alive(const struct engine *words)
{
	return bpf_ktime_get_ns() < words->heartbeat + HEARTBEAT_LIMIT;
}

/* A ticket for the first denial of a destination; 0 for the repeats of a retry loop. */
static __always_inline __u32 take_ticket(const struct destination *to, __u64 run, __u64 name_hash)
{
	struct denial_key key = {.run = run, .port = to->port, .protocol = to->protocol, .name_hash = name_hash};
	struct engine *words = the_engine();
	__u8 yes = 1;

	copy_address(key.address, to->address);
	if (!words || bpf_map_lookup_elem(&denials, &key))
		return 0;
	bpf_map_update_elem(&denials, &key, &yes, BPF_ANY);
	return __sync_fetch_and_add(&words->tickets, 1) + 1;
}

struct waiting {
	__u64 until;
	__u32 ticket;
};

static long still_untold(__u32 round, struct waiting *waiting)
{
	struct engine *words = the_engine();

	return !words || (__s32)(words->told - waiting->ticket) >= 0 || bpf_ktime_get_ns() > waiting->until;
}

/*
 * The reason must be on the terminal before the command's own error. Nothing here can sleep, so the caller
 * spins while user space writes: once for a destination, a fraction of a millisecond, never past the limit.
 */
static __always_inline void await_told(__u32 ticket)
{
	struct waiting waiting = {.until = bpf_ktime_get_ns() + TELL_LIMIT, .ticket = ticket};
	struct engine *words = the_engine();

	if (ticket && words && engine_alive(words))
		bpf_loop(TELL_ROUNDS, still_untold, &waiting, 0);
}

static __always_inline void tell(const struct call *call, __u64 run, const struct judgement *verdict)
{
	int denied = verdict->decision == DECISION_DENY;
	__u32 ticket = denied ? take_ticket(&call->to, run, 0) : 0;
	struct attempt_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_loss(LOSS_EVENTS, run);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	fill_header(&event->header, call->kind, run);
	copy_address(event->address, call->to.address);
	event->cookie = call->cookie;
	event->netns = call->netns;
	event->generation = verdict->generation;
	event->fact = verdict->fact;
	event->port = call->to.port;
	event->protocol = call->to.protocol;
	event->hook = call->hook;
	event->decision = verdict->decision;
	event->cause = verdict->cause;
	event->errno = denied ? verdict->errno : 0;
	event->socket_type = call->type;
	event->elsewhere = verdict->elsewhere;
	event->opening = denied ? OPENING_NONE : verdict->opening;
	event->count = 1;
	event->ticket = ticket;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, submit_flags(ticket != 0));
	await_told(ticket);
}

/* Sends to the destination on record are counted, and told together when it changes or the socket ends. */
static __always_inline void tell_repeats(struct socket *socket)
{
	struct attempt_event *event;

	if (!socket->repeats || socket->redirected)
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_loss(LOSS_EVENTS, socket->run);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	fill_header(&event->header, EVENT_SEND, socket->run);
	event->header.pid = socket->pid;
	copy_address(event->address, socket->address);
	event->port = socket->port;
	event->protocol = socket->protocol;
	event->generation = socket->generation;
	event->fact = socket->fact;
	event->decision = socket->decision;
	event->count = socket->repeats;
	event->hook = is_mapped(socket->address) ? HOOK_SENDMSG4 : HOOK_SENDMSG6;
	event->socket_type = SOCK_DGRAM;
	event->elsewhere = socket->elsewhere;
	socket->repeats = 0;
	bpf_ringbuf_submit(event, submit_flags(0));
}

static __always_inline int refuse(__u16 errno)
{
	if (errno != EPERM)
		bpf_set_retval(-(int)errno);
	return 0;
}

/* Why this run's DNS cannot be answered here and now; CAUSE_POLICY: it can. */
static __always_inline __u8 proxy_fault(const struct engine *words, __u64 netns)
{
	if (netns != words->netns)
		return CAUSE_DNS_OTHER_NETNS;
	if (!words->proxy_port || !engine_alive(words))
		return CAUSE_DNS_PROXY_DOWN;
	return CAUSE_POLICY;
}

static __always_inline int asks_dns(const struct destination *to, const struct run_state *state)
{
	return to->port == DNS_PORT && (to->protocol == IPPROTO_UDP || to->protocol == IPPROTO_TCP) &&
	       state->flags & RUN_ENFORCE;
}

/* Turns the call to the proxy and keeps where it was going for the reverse hooks. 1 done, 0 refused. */
static __always_inline int redirect(struct call *call, struct socket *socket, struct judgement *verdict)
{
	struct engine *words = the_engine();

	verdict->cause = !words ? CAUSE_DNS_PROXY_DOWN
			 : !socket ? CAUSE_NO_MEMORY
				   : proxy_fault(words, call->netns);
	if (verdict->cause != CAUSE_POLICY || !words || !socket)
		return 0;
	copy_address(socket->original, call->to.address);
	socket->original_port = call->to.port;
	proxy_address(call->to.address, is_mapped(call->to.address));
	call->to.port = words->proxy_port;
	return 1;
}

/*
 * connect() of UDP sends nothing. getaddrinfo(3) does it on each address of a name, to sort them by the route
 * (RFC 6724 §5), with the port that TCP will go to, or none. Where TCP may go there it is passed over, unrecorded:
 * a datagram that should follow is judged at egress.
 */
static __always_inline int probes_route(const struct call *call, __u64 run, const struct run_state *state)
{
	struct judgement verdict = {};
	struct destination as_tcp = call->to;

	if (call->kind != EVENT_CONNECT || call->to.protocol != IPPROTO_UDP || call->type != SOCK_DGRAM || !state)
		return 0;
	if (!call->to.port)
		return 1;
	as_tcp.protocol = IPPROTO_TCP;
	judge(run, state, &as_tcp, call->netns, &verdict);
	return verdict.decision != DECISION_DENY;
}

/*
 * Data in the SYN (TCP Fast Open) passes no message hook. Who asks for it where it cannot be had is told EOPNOTSUPP,
 * and connects without.
 */
static __always_inline int opens_fast(struct bpf_sock *sk)
{
	struct tcp_sock *tcp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;

	return tcp && (BPF_CORE_READ(tcp, fastopen_req) || BPF_CORE_READ_BITFIELD_PROBED(tcp, fastopen_connect));
}

enum outcome {
	REFUSED = 0,
	PASSED = 1,
	REDIRECTED = 2,
};

/*
 * Decides one call; on REDIRECTED, call->to is where it must go. A run's stamp on the socket comes before
 * the run of the current task; where both exist and differ, either may deny.
 */
static __always_inline enum outcome outbound(struct bpf_sock_addr *ctx, struct call *call, __u16 *errno)
{
	struct judgement verdict = {}, second = {};
	struct bpf_sock *sk = ctx->sk;
	struct socket *socket = NULL;
	struct run_state *state;
	struct engine *words = the_engine();
	__u64 run, task = task_run();

	if (sk)
		socket = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket)
		count_loss(LOSS_SOCKETS, task);
	run = socket && socket->run ? socket->run : task;
	if (!run && words)
		run = words->run;
	if (socket) {
		socket->run = run;
		if (task)
			socket->pid = bpf_get_current_pid_tgid() >> 32;
	}
	settle_unspecified(call->to.address);
	/* A ping socket's address may hold any number; a packet of it holds none. */
	if (call->to.protocol != IPPROTO_TCP && call->to.protocol != IPPROTO_UDP)
		call->to.port = 0;
	if (call->kind == EVENT_SEND && socket && on_record(socket, &call->to)) {
		__sync_fetch_and_add(&socket->repeats, 1);
		return PASSED;
	}
	if (socket)
		tell_repeats(socket);
	call->cookie = bpf_get_socket_cookie(ctx);
	if (call->kind == EVENT_SEND) {
		struct peer_key key = {.cookie = call->cookie, .port = call->to.port};

		copy_address(key.address, call->to.address);
		if (bpf_map_lookup_elem(&peers, &key))
			return PASSED;
	}
	call->netns = bpf_get_netns_cookie(ctx);
	if (socket) {
		socket->netns = call->netns;
		socket->cookie = call->cookie;
	}
	state = bpf_map_lookup_elem(&runs, &run);
	if (state && asks_dns(&call->to, state)) {
		verdict.generation = state->generation;
		if (redirect(call, socket, &verdict)) {
			record(socket, &call->to, &verdict);
			socket->redirected = 1;
			return REDIRECTED;
		}
		verdict.decision = DECISION_DENY;
		verdict.errno = state->flags >> RUN_ERRNO_SHIFT & 0xff;
	} else {
		judge(run, state, &call->to, call->netns, &verdict);
		if (task && task != run && verdict.decision != DECISION_DENY) {
			judge(task, bpf_map_lookup_elem(&runs, &task), &call->to, call->netns, &second);
			if (second.decision == DECISION_DENY) {
				verdict = second;
				run = task;
			}
		}
	}
	if (sk && sk->bound_dev_if > LOOPBACK_IFINDEX && is_loopback(call->to.address)) {
		verdict.decision = DECISION_DENY;
		verdict.cause = CAUSE_LOOPBACK_BY_LINK;
		verdict.errno = verdict.errno ? verdict.errno : EPERM;
	}
	if (verdict.decision == DECISION_DENY && verdict.cause == CAUSE_POLICY && probes_route(call, run, state))
		return PASSED;
	if (verdict.decision != DECISION_DENY && verdict.opening != OPENING_NONE && opens_fast(sk)) {
		*errno = EOPNOTSUPP;
		return REFUSED;
	}
	tell(call, run, &verdict);
	if (verdict.decision == DECISION_DENY) {
		*errno = verdict.errno;
		return REFUSED;
	}
	if (socket)
		record(socket, &call->to, &verdict);
	return PASSED;
}

/* The destination of a call on an IPv4 hook, and back. */
static __always_inline int outbound4(struct bpf_sock_addr *ctx, __u32 kind, __u32 hook)
{
	struct call call = {.kind = kind, .hook = hook};
	__u16 errno = EPERM;
	enum outcome outcome;

	map_ipv4(call.to.address, ctx->user_ip4);
	call.to.port = bpf_ntohs(ctx->user_port);
	call.to.protocol = ctx->protocol;
	call.type = ctx->type;
	outcome = outbound(ctx, &call, &errno);
	if (outcome == REFUSED)
		return refuse(errno);
	if (outcome == REDIRECTED) {
		ctx->user_ip4 = bpf_htonl(PROXY_IPV4);
		ctx->user_port = bpf_htons(call.to.port);
	}
	return 1;
}

static __always_inline int outbound6(struct bpf_sock_addr *ctx, __u32 kind, __u32 hook)
{
	struct call call = {.kind = kind, .hook = hook};
	__u32 *words = (void *)call.to.address;
	__u16 errno = EPERM;
	enum outcome outcome;

	words[0] = ctx->user_ip6[0];
	words[1] = ctx->user_ip6[1];
	words[2] = ctx->user_ip6[2];
	words[3] = ctx->user_ip6[3];
	call.to.port = bpf_ntohs(ctx->user_port);
	call.to.protocol = ctx->protocol;
	call.type = ctx->type;
	outcome = outbound(ctx, &call, &errno);
	if (outcome == REFUSED)
		return refuse(errno);
	if (outcome == REDIRECTED) {
		ctx->user_ip6[0] = words[0];
		ctx->user_ip6[1] = words[1];
		ctx->user_ip6[2] = words[2];
		ctx->user_ip6[3] = words[3];
		ctx->user_port = bpf_htons(call.to.port);
	}
	return 1;
}

/* The socket of a reverse hook whose peer is the proxy it was turned to; NULL when it is somebody else. */
static __always_inline struct socket *turned_to(struct bpf_sock_addr *ctx, const __u8 *peer, __u16 port)
{
	struct bpf_sock *sk = ctx->sk;
	struct socket *socket;

	if (!sk)
		return NULL;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!socket || !socket->redirected || port != socket->port || !same_address(peer, socket->address))
		return NULL;
	return socket;
}

static __always_inline void restore4(struct bpf_sock_addr *ctx, const struct socket *socket)
{
	const __u32 *words = (const void *)socket->original;

	ctx->user_ip4 = words[3];
	ctx->user_port = bpf_htons(socket->original_port);
}

static __always_inline void restore6(struct bpf_sock_addr *ctx, const struct socket *socket)
{
	const __u32 *words = (const void *)socket->original;

	ctx->user_ip6[0] = words[0];
	ctx->user_ip6[1] = words[1];
	ctx->user_ip6[2] = words[2];
	ctx->user_ip6[3] = words[3];
	ctx->user_port = bpf_htons(socket->original_port);
}

#endif
