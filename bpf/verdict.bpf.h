/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verdict on a destination: the one place in the kernel where it is decided. User space flattens the
 * policy (src/policy/flatten.ts), so that one look-up answers for an address: what is known of it for this
 * run (a fact) if there is such, else the longest prefix. A look-up that finds nothing denies.
 */
#ifndef ACYCLIC_VERDICT_H
#define ACYCLIC_VERDICT_H

#include "maps.bpf.h"

/* The loopback interface of every network namespace (net/core/dev.c). */
#define LOOPBACK_IFINDEX 1

struct destination {
	__u8 address[16] __attribute__((aligned(8)));
	__u16 port;
	__u8 protocol;
};

struct judgement {
	__u32 generation;
	__u32 fact;
	__u32 decision;
	__u8 cause;
	__u8 enforce;
	__u8 elsewhere;
	/* enum opening_use: what becomes of the first bytes, where it is not denied. */
	__u8 opening;
	__u16 errno;
};

static __always_inline int is_mapped(const __u8 *address)
{
	const __u32 *words = (const void *)address;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static __always_inline void map_ipv4(__u8 *address, __u32 ipv4)
{
	__u32 *words = (void *)address;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = ipv4;
}

static __always_inline int same_address(const __u8 *a, const __u8 *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return x[0] == y[0] && x[1] == y[1];
}

static __always_inline void copy_address(__u8 *to, const __u8 *from)
{
	__u64 *x = (void *)to;
	const __u64 *y = (const void *)from;

	x[0] = y[0];
	x[1] = y[1];
}

/* The kernel reads an unspecified destination as loopback (ip_route_output_key, ip6_datagram_connect). */
static __always_inline void settle_unspecified(__u8 *address)
{
	__u32 *words = (void *)address;

	if (words[0] || words[1])
		return;
	if (words[2] == bpf_htonl(0xffff) && !words[3])
		words[3] = bpf_htonl(0x7f000001);
	else if (!words[2] && !words[3])
		words[3] = bpf_htonl(1);
}

static __always_inline int is_loopback(const __u8 *address)
{
	const __u32 *words = (const void *)address;

	if (is_mapped(address))
		return address[12] == 127;
	return !words[0] && !words[1] && !words[2] && words[3] == bpf_htonl(1);
}

static __always_inline __u32 at_port(const struct entry *entry, const struct destination *to)
{
	struct port_key key = {};
	__u32 *decision;

	if (!(entry->decision & DECISION_BY_PORT))
		return entry->decision;
	key.prefix_length = 64;
	key.profile = entry->profile;
	key.transport = to->protocol == IPPROTO_TCP   ? TRANSPORT_TCP
			: to->protocol == IPPROTO_UDP ? TRANSPORT_UDP
						      : TRANSPORT_OTHER;
	key.port[0] = to->port >> 8;
	key.port[1] = to->port & 0xff;
	decision = bpf_map_lookup_elem(&ports, &key);
	return decision ? *decision | (entry->decision & DECISION_OWN_ADDRESS) : DECISION_NONE;
}

/* Tables: two a generation and family; the second holds what differs outside the engine's netns. */
static __always_inline __u32 by_prefix(const struct destination *to, __u32 generation, __u32 elsewhere)
{
	struct address_key key = {};
	struct entry *entry;

	key.prefix_length = 32 + 128;
	key.table = generation << 2 | elsewhere << 1 | !is_mapped(to->address);
	copy_address(key.address, to->address);
	entry = bpf_map_lookup_elem(&addresses, &key);
	return entry ? at_port(entry, to) : DECISION_NONE;
}

/* What is said of the address alone, where it is seen from. */
static __always_inline __u32 by_place(const struct destination *to, __u32 generation, __u32 elsewhere)
{
	__u32 decision = by_prefix(to, generation, 0);

	return decision & DECISION_OWN_ADDRESS && elsewhere ? by_prefix(to, generation, 1) : decision;
}

/* What is known of an address is kept while it is in use (docs/decisions/leases.md). A refusal is no use. */
static __always_inline void mark_used(struct fact *fact)
{
	__u32 now = bpf_ktime_get_ns() >> FACT_USED_SHIFT;

	if (fact->used != now)
		fact->used = now;
}

static __always_inline void use_address(__u64 run, const __u8 *address)
{
	struct fact_key key = {.run = run};
	struct fact *fact;

	copy_address(key.address, address);
	fact = bpf_map_lookup_elem(&facts, &key);
	if (fact)
		mark_used(fact);
}

/* A socket that ends was in use until now: whoever closed it may call the same address again. */
static __always_inline void leave(const struct socket *socket)
{
	if (socket->generation && !socket->redirected)
		use_address(socket->run, socket->address);
}

static __always_inline __u32 by_fact(const struct destination *to, __u64 run, struct judgement *verdict,
				     __u32 elsewhere)
{
	struct fact_entry_key entry_key = {};
	struct fact_key key = {};
	struct fact *fact;
	struct entry *entry;
	__u32 decision;

	key.run = run;
	copy_address(key.address, to->address);
	fact = bpf_map_lookup_elem(&facts, &key);
	if (!fact)
		return by_prefix(to, verdict->generation, elsewhere);
	verdict->fact = fact->id;
	entry_key.generation = verdict->generation;
	entry_key.fact = fact->id;
	entry_key.elsewhere = elsewhere;
	entry = bpf_map_lookup_elem(&fact_entries, &entry_key);
	decision = entry ? at_port(entry, to) : DECISION_NONE;
	if ((decision & DECISION_MASK) == DECISION_ALLOW || (decision & DECISION_MASK) == DECISION_AUDIT ||
	    decision & DECISION_READ)
		mark_used(fact);
	return decision;
}

/* One question to the verdict, and its answer. */
struct judging {
	struct destination to;
	__u64 run;
	__u64 netns;
	struct run_state state;
	struct judgement verdict;
};

/* A global function: verified once, not at each of its callers. */
__weak __noinline int judge_destination(struct judging *j)
{
	struct engine *words = the_engine();
	struct judgement *verdict;
	__u32 decision;

	if (!j || !words)
		return 0;
	verdict = &j->verdict;
	verdict->generation = j->state.generation;
	verdict->elsewhere = j->netns != words->netns;
	if (!(j->state.flags & RUN_ENFORCE)) {
		verdict->enforce = 0;
		verdict->decision = DECISION_ALLOW;
		use_address(j->run, j->to.address);
		return 0;
	}
	verdict->errno = j->state.flags >> RUN_ERRNO_SHIFT & 0xff;
	decision = by_fact(&j->to, j->run, verdict, 0);
	if (decision & DECISION_OWN_ADDRESS && verdict->elsewhere)
		decision = by_fact(&j->to, j->run, verdict, 1);
	if ((decision & DECISION_MASK) == DECISION_NONE) {
		verdict->cause = CAUSE_NO_ENTRY;
		return 0;
	}
	verdict->decision = decision & DECISION_MASK;
	if (decision & DECISION_PROXY) {
		verdict->opening = OPENING_PROXY;
	} else if (decision & DECISION_READ) {
		verdict->opening = verdict->decision == DECISION_DENY ? OPENING_WAIT : OPENING_READ;
		if (verdict->opening == OPENING_WAIT)
			verdict->decision = DECISION_ALLOW;
	}
	return 0;
}

/*
 * Judges a destination for one run, whose state is NULL when it is over. In audit mode the call goes through,
 * and user space computes the verdict with every name learned up to then.
 */
static __always_inline void judge(__u64 run, const struct run_state *state, const struct destination *to,
				  __u64 netns, struct judgement *verdict)
{
	struct judging j = {.run = run, .netns = netns};

	j.verdict.decision = DECISION_DENY;
	j.verdict.enforce = 1;
	j.verdict.errno = EPERM;
	j.verdict.cause = CAUSE_NO_RUN;
	if (state) {
		copy_address(j.to.address, to->address);
		j.to.port = to->port;
		j.to.protocol = to->protocol;
		j.state.generation = state->generation;
		j.state.flags = state->flags;
		j.verdict.cause = CAUSE_POLICY;
		judge_destination(&j);
	}
	*verdict = j.verdict;
}

/* Whether the socket has this destination on record as allowed, under whichever policy. */
static __always_inline int was_allowed(const struct socket *socket, const struct destination *to)
{
	return socket->port == to->port && socket->protocol == to->protocol &&
	       same_address(socket->address, to->address) && socket->generation;
}

/* Whether it was allowed under the policy in force. */
static __always_inline int on_record(const struct socket *socket, const struct destination *to)
{
	struct run_state *state;
	__u64 run = socket->run;

	if (!was_allowed(socket, to))
		return 0;
	state = bpf_map_lookup_elem(&runs, &run);
	return state && state->generation == socket->generation;
}

static __always_inline void record(struct socket *socket, const struct destination *to,
				   const struct judgement *verdict)
{
	copy_address(socket->address, to->address);
	socket->port = to->port;
	socket->protocol = to->protocol;
	socket->generation = verdict->generation;
	socket->fact = verdict->fact;
	socket->decision = verdict->decision;
	socket->elsewhere = verdict->elsewhere;
	socket->repeats = 0;
	socket->redirected = 0;
	socket->use = verdict->opening;
	socket->opening = verdict->opening != OPENING_NONE			     ? STATE_MARKED
			  : !verdict->enforce && to->protocol == IPPROTO_TCP ? STATE_HEARD
									     : STATE_OPEN;
	socket->told = 0;
}

#endif
