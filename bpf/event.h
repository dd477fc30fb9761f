/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire between the kernel and user space: ring-buffer records, map keys and values. user space reads
 * them by offsets generated from this object's BTF (src/kernel/layout.gen.ts).
 *
 * Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. Ports are in host order unless a field
 * says otherwise. Times are CLOCK_MONOTONIC nanoseconds. pids are of the initial namespace.
 */
#ifndef ACYCLIC_EVENT_H
#define ACYCLIC_EVENT_H

#include <linux/types.h>

#define COMM_SIZE 16
#define PATH_SIZE 256
#define ARGV_SMALL 512
#define ARGV_SIZE 4096
#define DNS_SIZE 4096

/* What a rule says. BY_PORT: the profile's ports decide. OWN_ADDRESS: holds in the engine's netns only. */
enum decision {
	DECISION_NONE = 0,
	DECISION_ALLOW = 1,
	DECISION_AUDIT = 2,
	DECISION_DENY = 3,
	DECISION_MASK = 0xff,
	DECISION_BY_PORT = 0x100,
	DECISION_OWN_ADDRESS = 0x200,
};

enum transport {
	TRANSPORT_OTHER = 0,
	TRANSPORT_TCP = 1,
	TRANSPORT_UDP = 2,
};

enum event_kind {
	EVENT_CONNECT = 1,
	EVENT_SEND = 2,
	EVENT_DNS_REPLY = 3,
	EVENT_FORK = 4,
	EVENT_EXEC = 5,
	EVENT_EXIT = 6,
	EVENT_ESCAPE = 7,
};

enum hook {
	HOOK_CONNECT4 = 1,
	HOOK_CONNECT6 = 2,
	HOOK_SENDMSG4 = 3,
	HOOK_SENDMSG6 = 4,
	HOOK_EGRESS = 5,
	HOOK_INGRESS = 6,
};

/* Why a call was denied without a rule, or noted. */
enum cause {
	CAUSE_POLICY = 0,
	CAUSE_NO_RUN = 1,
	CAUSE_NO_ENTRY = 2,
	CAUSE_DNS_PROXY_DOWN = 3,
	CAUSE_DNS_OTHER_NETNS = 4,
	CAUSE_NO_MEMORY = 5,
	CAUSE_LOOPBACK_BY_LINK = 6,
};

enum loss {
	LOSS_EVENTS = 0,
	LOSS_PROCESSES = 1,
	LOSS_SOCKETS = 2,
	LOSS_CLIENTS = 3,
	LOSS_COUNT = 4,
};

/* Flags of a run, beside its generation. */
enum run_flags {
	RUN_ENFORCE = 1,
	RUN_ERRNO_SHIFT = 8,
};

struct event_header {
	__u64 time;
	__u64 run;
	__u32 kind;
	__u32 pid;
	__u32 uid;
	__u32 tid;
};

struct attempt_event {
	struct event_header header;
	__u8 address[16];
	__u64 cookie;
	__u64 netns;
	__u32 generation;
	__u32 fact;
	__u16 port;
	__u16 errno;
	__u8 protocol;
	__u8 hook;
	__u8 decision;
	__u8 cause;
	__u16 source_port;
	__u8 socket_type;
	/* The caller's network namespace is not the engine's. */
	__u8 elsewhere;
	/* Identical attempts this record stands for. */
	__u32 count;
	/* Not 0: the caller waits, a moment at most, until engine.told says this was told. */
	__u32 ticket;
	__u8 source[16];
	char comm[COMM_SIZE];
};

struct dns_event {
	struct event_header header;
	__u8 address[16];
	__u32 length;
	__u16 port;
	__u8 protocol;
	__u8 truncated;
	__u8 payload[DNS_SIZE];
};

struct process_event {
	struct event_header header;
	__u32 parent;
	__u32 child;
	char comm[COMM_SIZE];
	__u64 cgroup;
};

struct exec_event {
	struct event_header header;
	__u32 parent;
	__u32 argv_length;
	__u32 truncated;
	__u32 pad;
	char comm[COMM_SIZE];
	char exe[PATH_SIZE];
	__u8 argv[ARGV_SIZE];
};

/* Engine-wide words, mapped into user space; each is written whole. */
struct engine {
	__u64 heartbeat;
	__u64 netns;
	/* The run that sockets nobody stamped are of (MPTCP subflows of a kernel worker); 0: none. */
	__u64 run;
	__u32 proxy_port;
	__u32 wakeup;
	__u32 level;
	/* Tickets handed out, and the latest that was told. */
	__u32 tickets;
	__u32 told;
	__u32 pad;
};

/* runs: cgroup id → this. One 8-byte write publishes both. */
struct run_state {
	__u32 generation;
	__u32 flags;
};

struct address_key {
	__u32 prefix_length;
	__u32 table;
	__u8 address[16];
};

struct port_key {
	__u32 prefix_length;
	__u32 profile;
	__u8 transport;
	__u8 pad;
	__u8 port[2];
};

/* What the policy says of an address or a fact. */
struct entry {
	__u32 profile;
	__u32 decision;
};

struct fact_key {
	__u64 run;
	__u8 address[16];
};

/* fact.used counts 2^27 ns (0.13 s) of CLOCK_MONOTONIC: 32 bits of it last 18 years from boot. */
enum fact_clock {
	FACT_USED_SHIFT = 27,
};

/*
 * What is known of an address: a set of names that never changes, by number; and its last allowed use, 0:
 * none.
 */
struct fact {
	__u32 id;
	__u32 used;
};

/* elsewhere: for callers in other network namespaces, where they are told other answers. */
struct fact_entry_key {
	__u32 generation;
	__u32 fact;
	__u32 elsewhere;
};

struct client_key {
	__u8 protocol;
	__u8 family;
	__u16 port;
};

/* Who asked the DNS proxy, by source port on loopback. */
struct client {
	__u64 run;
	__u64 time;
	__u32 pid;
	__u16 original_port;
	__u16 pad;
	__u8 original[16];
};

struct denial_key {
	__u64 run;
	__u8 address[16];
	__u32 port;
	__u32 protocol;
};

struct peer_key {
	__u64 cookie;
	__u8 address[16];
	__u32 port;
	__u32 pad;
};

/* What a walk over the sockets finds: whom one is connected to or sends to, by which fact (0: by none). */
struct connection {
	__u64 run;
	__u8 address[16];
	__u32 fact;
	__u32 pad;
};

#endif
