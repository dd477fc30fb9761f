/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map, and the two rules of all of them: a value that is changed in place is at most 8 bytes (larger
 * ones tear), and none that policy stands on ever evicts. They are weak: each source file of the object
 * names them, the linker keeps one.
 */
#ifndef ACYCLIC_MAPS_H
#define ACYCLIC_MAPS_H

#include "event.h"
#include "kernel.h"

#define MAX_RUNS 4096
#define MAX_ENTRIES 1048576
#define MAX_CLIENTS 131072
#define MAX_PEERS 65536
#define MAX_DENIALS 8192
#define MAX_OPENINGS 131072
#define MAX_CLOSED 65536

#define WINDOW_SIZE 256
#define TEXT_SIZE 512
#define MAX_PIECES 8

/* A host and a port as text, and what it was read as. */
struct authority {
	__u32 length;
	/* Of the name, once read. */
	__u32 name_length;
	__u16 port;
	/* enum authority_kind */
	__u8 kind;
	/* A blank came after what there is. */
	__u8 ended;
	__u8 too_long;
	__u8 pad[3];
	__u8 address[16] __attribute__((aligned(8)));
	char text[TEXT_SIZE];
};

/* The first bytes of a connection and how far they are read. Offsets are into the stream. */
struct opening {
	/* Where the message's bytes are, the offset of the first, and of the one after the last. */
	__u64 data;
	__u32 start;
	__u32 size;
	/* Read by the HTTP scan. */
	__u32 position;
	__u32 window_at;
	__u32 window_end;
	/* Of the line or word that is being read. */
	__u32 count;
	__u8 head[8];
	__u8 phase;
	__u8 head_length;
	__u8 flags;
	__u8 word;
	__u8 word_at;
	__u8 gap;
	__u8 scheme_at;
	__u8 form;
	__u8 strict;
	__u8 version;
	__u8 connect;
	__u8 host_seen;
	__u64 scheme;
	__u8 carriage;
	__u8 pieces;
	__u8 tls;
	__u8 letters;
	__u8 long_scheme;
	/* The request line ended in a bare LF, and so far nothing came after; after that, another LF. */
	__u8 bare;
	__u8 doubled;
	__u8 pad;
	__u32 says;
	struct {
		__u16 start;
		__u16 length;
	} piece[MAX_PIECES];
	__u16 source_port;
	__u8 source[16] __attribute__((aligned(8)));
	struct authority target;
	struct authority host;
	char window[WINDOW_SIZE];
	__u64 name_hash;
	struct name_key key;
	struct chain_key chain;
};

/* What a socket is known by. Only allowed destinations are recorded, so a torn record opens nothing. */
struct socket {
	__u64 run;
	/* Cookie of its network namespace: packet programs cannot ask (before 6.15). */
	__u64 netns;
	__u32 pid;
	__u32 generation;
	/* What was decided of the destination, and how often it was sent to since that was told. */
	__u32 fact;
	__u32 decision;
	__u32 repeats;
	__u8 address[16];
	__u16 port;
	__u8 protocol;
	__u8 redirected;
	__u8 elsewhere;
	__u16 original_port;
	/* Its source port as the DNS proxy knows it; 0: it never asked. */
	__u16 client_port;
	__u8 original[16];
	__u64 cookie;
	/* enum opening_use as decided at connect, and how far its first bytes are: enum opening_state. */
	__u8 use;
	__u8 opening;
	/* Audit: the TCP sequence number after what was told of its first bytes, and how much that was. */
	__u16 told;
	__u32 sequence;
};

enum opening_state {
	/* Not judged, or not any more. */
	STATE_OPEN = 0,
	/* Nothing may leave that the message hook has not seen. */
	STATE_MARKED = 1,
	/* What has left names nobody; what follows still may. */
	STATE_BEGUN = 2,
	STATE_DENIED = 3,
	/* Audit: told in passing. */
	STATE_HEARD = 4,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct engine);
} engine __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_RUNS);
	__type(key, __u64);
	__type(value, struct run_state);
} runs __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, struct address_key);
	__type(value, struct entry);
} addresses __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, struct port_key);
	__type(value, __u32);
} ports __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, struct fact_key);
	__type(value, struct fact);
} facts __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, struct fact_entry_key);
	__type(value, struct entry);
} fact_entries __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket);
} sockets __weak SEC(".maps");

/* Reading a connection's first bytes, while it lasts. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct opening);
} openings __weak SEC(".maps");

/* Connections whose first bytes the message hook is to see, by cookie. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, MAX_OPENINGS);
	__type(key, __u64);
	__type(value, __u64);
} opening_sockets __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, struct name_key);
	__type(value, struct name_entry);
} names __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, struct chain_key);
	__type(value, struct entry);
} chains __weak SEC(".maps");

/* UNIX sockets that are closed to a run, and the errno of who connects to one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_CLOSED);
	__type(key, struct closed_key);
	__type(value, __u32);
} closed_sockets __weak SEC(".maps");

/* The run a process was born into: what it is judged against when somebody moves it. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} tasks __weak SEC(".maps");

/* The call a task is in; `since` is 0 when it is in none that will be told. */
struct syscall_state {
	__u64 since;
	__u32 call;
	__u16 family;
	__u16 length;
	char path[UNIX_PATH_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct syscall_state);
} syscalls __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_CLIENTS);
	__type(key, struct client_key);
	__type(value, struct client);
} clients __weak SEC(".maps");

/*
 * Whom a UDP socket of a run has heard from, so that a server's reply is no call. Least recently heard goes
 * first: no verdict but that of a reply to a peer silent for MAX_PEERS others rests on it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PEERS);
	__type(key, struct peer_key);
	__type(value, __u8);
} peers __weak SEC(".maps");

/* Destinations a run was denied lately: the first denial is told before the caller goes on, a loop is not. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_DENIALS);
	__type(key, struct denial_key);
	__type(value, __u8);
} denials __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} processes __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} losses __weak SEC(".maps");

/* The same for each run. Every count is 8 bytes by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_RUNS);
	__type(key, __u64);
	__type(value, struct run_losses);
} run_losses __weak SEC(".maps");

/*
 * What user space has read of the rings and not yet put on disk (src/kernel/journal.ts): it is in memory that outlives
 * the reader. No program reads it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4096);
	__uint(key_size, 4);
	__uint(value_size, 4096);
} journal __weak SEC(".maps");

/* Of which run, where that is known; 0: it is not. */
static __always_inline void count_loss(__u32 cause, __u64 run)
{
	struct run_losses *of = bpf_map_lookup_elem(&run_losses, &run);
	__u64 *count = bpf_map_lookup_elem(&losses, &cause);

	if (count)
		__sync_fetch_and_add(count, 1);
	if (of && cause < LOSS_COUNT)
		__sync_fetch_and_add(&of->count[cause], 1);
}

static __always_inline struct engine *the_engine(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&engine, &zero);
}

/*
 * How a record is submitted. A wake-up costs five times a record, so user space drains on a timer while
 * busy; when idle it sets engine.wakeup and asks to be woken once. What must be told at once always wakes.
 */
static __always_inline __u64 submit_flags(int urgent)
{
	struct engine *words = the_engine();

	if (!urgent && words && !words->wakeup)
		return BPF_RB_NO_WAKEUP;
	if (words)
		words->wakeup = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* The run the current task is in: its ancestor at a level where runs live, if it is one. 0: none. */
static __always_inline __u64 task_run(void)
{
	struct engine *words = the_engine();

	for (int i = 0; words && i < MAX_LEVELS && words->levels[i]; i++) {
		__u64 cgroup = bpf_get_current_ancestor_cgroup_id(words->levels[i]);

		if (cgroup && bpf_map_lookup_elem(&runs, &cgroup))
			return cgroup;
	}
	return 0;
}

static __always_inline void fill_header(struct event_header *header, __u32 kind, __u64 run)
{
	__u64 id = bpf_get_current_pid_tgid();

	header->time = bpf_ktime_get_ns();
	header->run = run;
	header->kind = kind;
	header->pid = id >> 32;
	header->tid = (__u32)id;
	header->uid = (__u32)bpf_get_current_uid_gid();
}

#endif
