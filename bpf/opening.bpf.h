/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verdict on a connection whose first bytes have been read: the same as src/policy/opening.ts, from the tables it
 * is flattened into. What each tier says of address and name are joined here, since not every pair of them can be
 * written down.
 */
#ifndef ACYCLIC_OPENING_H
#define ACYCLIC_OPENING_H

#include "call.bpf.h"
#include "http.bpf.h"
#include "tls.bpf.h"

#define BITS_BEFORE_NAME 32
#define PLACES 0x80000000u

enum reading {
	/* More is wanted, and what there is may be held back until then. */
	READING_HELD = 0,
	/* More is wanted, but it may be anything: what there is leaves. */
	READING_GONE = 1,
	/* Nobody is named. */
	READING_NOTHING = 2,
	READING_UNREADABLE = 3,
	/* `target`, where it has been read, else `host` says whom. */
	READING_NAMED = 4,
};

/* The first tier that says anything of either; in it the stronger. NONE: all are silent. */
static __always_inline __u32 heaviest(__u32 one, __u32 other)
{
	one >>= DECISION_TIERS_SHIFT;
	other >>= DECISION_TIERS_SHIFT;
	for (int i = 0; i < DECISION_TIERS; i++, one >>= 2, other >>= 2) {
		__u32 x = one & DECISION_MASK, y = other & DECISION_MASK;

		if (x == DECISION_DENY || y == DECISION_DENY)
			return DECISION_DENY;
		if (x == DECISION_ALLOW || y == DECISION_ALLOW)
			return DECISION_ALLOW;
		if (x || y)
			return DECISION_AUDIT;
	}
	return DECISION_NONE;
}

/* The default, which does not deny what is exempt from it. */
static __always_inline __u32 fall_back(__u32 decision, const struct run_state *state, __u32 exempt)
{
	if (decision != DECISION_NONE)
		return decision;
	return state->flags & RUN_DEFAULT_DENY && !(exempt & DECISION_EXEMPT) ? DECISION_DENY : DECISION_ALLOW;
}

/*
 * What is said of the name in the opening's keys, at the address for a run, or, with no run, at one that is not known.
 * The word is 0 where tables are missing: *found tells.
 */
static __always_inline __u32 by_name(struct opening *o, __u32 length, __u32 generation, __u64 run,
				     const struct destination *to, int *found)
{
	struct address_key place = {};
	struct name_entry *names_entry;
	struct entry *entry;

	*found = 1;
	if (run) {
		o->chain.run = run;
		o->chain.generation = generation;
		copy_address(o->chain.address, to->address);
		entry = bpf_map_lookup_elem(&chains, &o->chain);
		if (entry)
			return at_port(entry, to);
	}
	o->key.prefix_length = BITS_BEFORE_NAME + 8 * (length + 1);
	o->key.generation = generation;
	names_entry = bpf_map_lookup_elem(&names, &o->key);
	if (!names_entry) {
		*found = 0;
		return 0;
	}
	if (!run)
		return at_port(&names_entry->unplaced, to);
	if (!(names_entry->at_address.decision & DECISION_BY_ADDRESS))
		return at_port(&names_entry->at_address, to);
	place.prefix_length = 32 + 128;
	place.table = PLACES | names_entry->at_address.profile << 1 | !is_mapped(to->address);
	copy_address(place.address, to->address);
	entry = bpf_map_lookup_elem(&addresses, &place);
	if (!entry) {
		*found = 0;
		return 0;
	}
	return at_port(entry, to);
}

struct hearing {
	struct opening *opening;
	struct socket *socket;
	const struct run_state *state;
	const struct authority *named;
	struct destination to;
	enum reading reading;
};

/* Where what is said to a proxy is to go. */
static __always_inline void inner_destination(const struct hearing *h, struct destination *inner)
{
	copy_address(inner->address, h->named->address);
	settle_unspecified(inner->address);
	inner->port = h->named->port ? h->named->port : h->to.port;
	inner->protocol = IPPROTO_TCP;
}

/* What a `proxy: true` service is told to reach is the destination. */
static __noinline __u32 judge_inner(struct hearing *h)
{
	struct judgement verdict = {};
	struct destination inner = {};
	__u32 word;
	int found;

	if (h->reading != READING_NAMED || !(h->opening->says & SAYS_PROXIED))
		return DECISION_DENY;
	inner_destination(h, &inner);
	if (h->named->kind == AUTHORITY_NAME) {
		word = by_name(h->opening, h->named->name_length, h->state->generation, 0, &inner, &found);
		return found ? fall_back(heaviest(word, 0), h->state, word) : DECISION_DENY;
	}
	judge(h->socket->run, h->state, &inner, h->socket->netns, &verdict);
	return verdict.opening == OPENING_WAIT ? DECISION_DENY : verdict.decision;
}

/* What some other process is asked to reach: judged where that process is, and for itself. */
static __noinline __u32 judge_proxied(struct hearing *h, __u32 address, __u32 standing)
{
	__u32 generation = h->state->generation, word;
	struct destination inner = {};
	int found;

	inner_destination(h, &inner);
	if (h->named->kind == AUTHORITY_NAME) {
		word = by_name(h->opening, h->named->name_length, generation, 0, &inner, &found);
		return found ? fall_back(heaviest(address, word), h->state, word) : DECISION_DENY;
	}
	word = by_place(&inner, generation, h->socket->elsewhere);
	if (word & DECISION_EXEMPT)
		return standing;
	return fall_back(heaviest(address, word), h->state, 0);
}

/* The name at the address, in place of those that led there. */
static __noinline __u32 judge_named(struct hearing *h, __u32 address)
{
	__u32 word;
	int found;

	word = by_name(h->opening, h->named->name_length, h->state->generation, h->socket->run, &h->to, &found);
	if (!found)
		return DECISION_DENY;
	return fall_back(heaviest(word & DECISION_JOINT ? 0 : address, word), h->state, address);
}

/* The decision; verdict->decision comes as that of the address and its names under the policy in force. */
static __always_inline __u32 judge_opening(struct hearing *h, const struct judgement *verdict)
{
	int waits = verdict->opening == OPENING_WAIT;
	__u32 standing = waits ? DECISION_DENY : verdict->decision, address;
	struct destination other = {};

	if (verdict->decision == DECISION_DENY || h->reading == READING_UNREADABLE)
		return DECISION_DENY;
	if (verdict->opening == OPENING_PROXY)
		return judge_inner(h);
	if (h->reading != READING_NAMED)
		return standing;
	address = by_place(&h->to, h->state->generation, h->socket->elsewhere);
	if (h->opening->says & SAYS_PROXIED)
		return judge_proxied(h, address, standing);
	if (h->named->kind == AUTHORITY_NAME)
		return waits && h->opening->says & SAYS_ENCRYPTED ? DECISION_DENY
								  : judge_named(h, address);
	if (waits)
		return DECISION_DENY;
	other.port = h->to.port;
	other.protocol = IPPROTO_TCP;
	copy_address(other.address, h->named->address);
	settle_unspecified(other.address);
	if (same_address(other.address, h->to.address))
		return standing;
	return heaviest(address, by_place(&other, h->state->generation, h->socket->elsewhere)) == DECISION_DENY
		       ? DECISION_DENY
		       : standing;
}

#endif
