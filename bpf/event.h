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
#define UNIX_PATH_SIZE 108
#define PATH_SIZE 256
#define ARGV_SMALL 512
#define ARGV_SIZE 4096
#define DNS_SIZE 4096
/* Names in look-ups: 247 bytes, and one that ends them. Longer ones are read by nobody. */
#define NAME_KEY_SIZE 248
#define NAME_SIZE 256
/* A piece of a connection's first bytes, in audit mode. */
#define OPENING_PIECE 2048

/*
 * What is said at a port: a decision, what becomes of a connection's first bytes, and what each tier says of the
 * address or the name alone, two bits a tier, the highest in the lowest. BY_PORT: the profile's ports say so.
 * OWN_ADDRESS: holds in the engine's netns only. READ: the first bytes are judged; with DENY: they may open it.
 * PROXY: they must say where a proxy is to go. EXEMPT: the default does not deny it. JOINT: the tiers are those of
 * name and address together. BY_ADDRESS: the profile is a table of addresses.
 */
enum decision {
	DECISION_NONE = 0,
	DECISION_ALLOW = 1,
	DECISION_AUDIT = 2,
	DECISION_DENY = 3,
	DECISION_MASK = 3,
	DECISION_READ = 0x4,
	DECISION_PROXY = 0x8,
	DECISION_AMBIGUOUS = 0x10,
	DECISION_EXEMPT = 0x20,
	DECISION_JOINT = 0x40,
	DECISION_BY_PORT = 0x100,
	DECISION_OWN_ADDRESS = 0x200,
	DECISION_BY_ADDRESS = 0x400,
	DECISION_TIERS_SHIFT = 16,
	DECISION_TIERS = 8,
};

/* What becomes of a connection's first bytes. */
enum opening_use {
	OPENING_NONE = 0,
	OPENING_READ = 1,
	OPENING_WAIT = 2,
	OPENING_PROXY = 3,
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
	EVENT_OPENING = 8,
	EVENT_OPENING_PIECE = 9,
	EVENT_RETURN = 10,
	EVENT_OUTCOME = 11,
	EVENT_CLOSED = 12,
};

enum hook {
	HOOK_CONNECT4 = 1,
	HOOK_CONNECT6 = 2,
	HOOK_SENDMSG4 = 3,
	HOOK_SENDMSG6 = 4,
	HOOK_EGRESS = 5,
	HOOK_INGRESS = 6,
	HOOK_MESSAGE = 7,
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
	/* Bytes of a connection came past the message hook. */
	CAUSE_UNREAD = 7,
};

enum loss {
	LOSS_EVENTS = 0,
	LOSS_PROCESSES = 1,
	LOSS_SOCKETS = 2,
	LOSS_CLIENTS = 3,
	LOSS_OPENINGS = 4,
	LOSS_SYSCALLS = 5,
	/* How a call ended; the call itself is a record of its own. */
	LOSS_ENDS = 6,
	LOSS_COUNT = 7,
};

struct run_losses {
	__u64 count[LOSS_COUNT];
};

/* Flags of a run, beside its generation. */
enum run_flags {
	RUN_ENFORCE = 1,
	RUN_DEFAULT_DENY = 2,
	RUN_READS = 4,
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
	/* enum opening_use: more is told of this connection once its first bytes are known. */
	__u8 opening;
	/* Identical attempts this record stands for. */
	__u32 count;
	/* Not 0: the caller waits, a moment at most, until engine.told says this was told. */
	__u32 ticket;
	__u8 source[16];
	char comm[COMM_SIZE];
};

/* What the first bytes of a connection say; enum flags of its `says`. */
enum opening_says {
	SAYS_TLS = 1,
	SAYS_HTTP = 2,
	SAYS_PROXIED = 4,
	SAYS_ENCRYPTED = 8,
	SAYS_UNREADABLE = 16,
	SAYS_NAME = 32,
	SAYS_ADDRESS = 64,
	SAYS_PORT = 128,
};

struct opening_event {
	struct attempt_event attempt;
	__u32 says;
	__u16 inner_port;
	__u16 name_length;
	__u8 inner[16];
	char name[NAME_SIZE];
};

struct opening_piece_event {
	struct event_header header;
	__u64 cookie;
	__u32 offset;
	__u32 length;
	__u8 payload[OPENING_PIECE];
};

enum syscall {
	CALL_CONNECT = 1,
	CALL_SENDTO = 2,
	CALL_SENDMSG = 3,
	CALL_SENDMMSG = 4,
	CALL_SOCKET = 5,
};

/* How a system call returned. The task it was made by is that of the header. */
struct return_event {
	struct event_header header;
	__u64 since;
	__u32 call;
	__u16 family;
	__u16 errno;
	/* Of the UNIX path, which begins with a 0 where it is abstract; or sockaddr_vm as it is. */
	__u32 length;
	char comm[COMM_SIZE];
	char path[UNIX_PATH_SIZE];
};

/* A UNIX socket that is closed to the run was connected to, and its caller got `errno`. */
struct closed_event {
	struct event_header header;
	__u32 errno;
	/* Of the path, as in return_event. */
	__u32 length;
	char comm[COMM_SIZE];
	char path[UNIX_PATH_SIZE];
};

enum outcome_state {
	OUTCOME_CONNECTED = 1,
	OUTCOME_CLOSED = 2,
};

/* What became of a TCP connection of a run. */
struct outcome_event {
	struct event_header header;
	__u64 cookie;
	__u64 sent;
	__u64 received;
	__u32 state;
	/* CLOSED: it was connected before. */
	__u32 established;
	__u32 errno;
	__u32 pad;
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

#define MAX_LEVELS 8

/* Engine-wide words, mapped into user space; each is written whole. */
struct engine {
	__u64 heartbeat;
	__u64 netns;
	/* The run that sockets nobody stamped are of (MPTCP subflows of a kernel worker); 0: none. */
	__u64 run;
	__u32 proxy_port;
	__u32 wakeup;
	/* Depths of the cgroups that are runs, the deepest first: of nested runs the innermost counts. 0: no more. */
	__u8 levels[MAX_LEVELS];
	/* Tickets handed out, and the latest that was told. */
	__u32 tickets;
	__u32 told;
	/* Numbers given out to tables of policies, facts, lists of answers by port, and names by place: user space's. */
	__u32 generations;
	__u32 facts;
	__u32 profiles;
	__u32 places;
};

/* runs: cgroup id → this. One 8-byte write publishes both. */
struct run_state {
	__u32 generation;
	__u32 flags;
};

struct address_key {
	__u32 prefix_length;
	__u32 table;
	__u8 address[16] __attribute__((aligned(8)));
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

/* Names from their end, so that what is below a name begins with it: `com.github` and a 0, or `com.github.` and on. */
struct name_key {
	__u32 prefix_length;
	__u32 generation;
	__u8 name[NAME_KEY_SIZE];
};

/* What the policy says of a name at an address, and at one that is not known. */
struct name_entry {
	struct entry at_address;
	struct entry unplaced;
};

/* A name that led to an address, where it is an alias there of others that rules speak of. */
struct chain_key {
	__u64 run;
	__u8 address[16];
	__u32 generation;
	__u8 name[NAME_KEY_SIZE];
	__u32 pad;
};

/*
 * A UNIX socket by the address it is called by: a path without its final 0, or an abstract name with its first; what is
 * after that is 0.
 */
struct closed_key {
	__u64 run;
	__u32 length;
	char path[UNIX_PATH_SIZE];
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
	/* Of the name its first bytes gave; 0: none. */
	__u64 name_hash;
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
