// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A run's processes: fork, exec with argv, exit; and whoever is moved out of it. */
#include "maps.bpf.h"

static __always_inline void tag(struct task_struct *task, __u64 run)
{
	__u64 *tagged = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (tagged)
		*tagged = run;
	else
		count_loss(LOSS_PROCESSES, run);
}

/* The run whose cgroup holds the task, read from the task itself: for a child it may not be its parent's. */
static __always_inline __u64 run_of(struct cgroup *cgroup)
{
	struct engine *words = the_engine();
	int depth = BPF_CORE_READ(cgroup, level);

	for (int i = 0; words && i < MAX_LEVELS && words->levels[i]; i++) {
		__u32 level = words->levels[i];
		__u64 id;

		if (level > 64 || depth < (int)level)
			continue;
		id = BPF_CORE_READ(cgroup, ancestors[level], kn, id);
		if (bpf_map_lookup_elem(&runs, &id))
			return id;
	}
	return 0;
}

static __always_inline void tell_process(__u32 kind, __u64 run, struct task_struct *task, __u64 cgroup)
{
	struct process_event *event = bpf_ringbuf_reserve(&processes, sizeof(*event), 0);

	if (!event) {
		count_loss(LOSS_PROCESSES, run);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	fill_header(&event->header, kind, run);
	event->child = BPF_CORE_READ(task, tgid);
	event->parent = BPF_CORE_READ(task, real_parent, tgid);
	event->cgroup = cgroup;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, submit_flags(kind == EVENT_ESCAPE));
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct cgroup *cgroup = BPF_CORE_READ(child, cgroups, dfl_cgrp);
	__u64 born = task_run(), run = run_of(cgroup);

	if (!born && !run)
		return 0;
	tag(child, run ? run : born);
	if (BPF_CORE_READ(child, pid) == BPF_CORE_READ(child, tgid))
		tell_process(EVENT_FORK, run ? run : born, child, BPF_CORE_READ(cgroup, kn, id));
	if (born && born != run)
		tell_process(EVENT_ESCAPE, born, child, BPF_CORE_READ(cgroup, kn, id));
	return 0;
}

/* room: a constant power of two, for the verifier: the record holds less than that of argv. */
static __always_inline void tell_exec(const __u32 room, __u64 run, struct task_struct *task,
				      struct linux_binprm *bprm, unsigned long start, unsigned long length)
{
	struct exec_event *event = bpf_ringbuf_reserve(&processes, offsetof(struct exec_event, argv) + room, 0);

	if (!event) {
		count_loss(LOSS_PROCESSES, run);
		return;
	}
	__builtin_memset(event, 0, offsetof(struct exec_event, exe));
	fill_header(&event->header, EVENT_EXEC, run);
	event->parent = BPF_CORE_READ(task, real_parent, tgid);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_probe_read_kernel_str(event->exe, PATH_SIZE, BPF_CORE_READ(bprm, interp)) < 0)
		event->exe[0] = 0;
	event->truncated = length >= room;
	if (length >= room)
		length = room - 1;
	// Less than room already; said so that the verifier of 6.1 sees it.
	barrier_var(length);
	length &= room - 1;
	if (!bpf_probe_read_user(event->argv, length, (void *)start))
		event->argv_length = length;
	bpf_ringbuf_submit(event, submit_flags(0));
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	unsigned long start, length;
	__u64 run = task_run();

	if (!run)
		return 0;
	tag(task, run);
	start = BPF_CORE_READ(task, mm, arg_start);
	length = BPF_CORE_READ(task, mm, arg_end) - start;
	if (length < ARGV_SMALL)
		tell_exec(ARGV_SMALL, run, task, bprm, start, length);
	else
		tell_exec(ARGV_SIZE, run, task, bprm, start, length);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	__u64 run = task_run();

	if (run && BPF_CORE_READ(task, pid) == BPF_CORE_READ(task, tgid))
		tell_process(EVENT_EXIT, run, task, 0);
	return 0;
}

/* Fires after the move. A run that has ended is no longer in runs: what it releases is no escape. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(process_move, struct cgroup *to, const char *path, struct task_struct *task)
{
	__u64 *tagged = bpf_task_storage_get(&tasks, task, 0, 0);
	__u64 run;

	if (!tagged)
		return 0;
	run = *tagged;
	if (!run || !bpf_map_lookup_elem(&runs, &run) || run_of(to) == run)
		return 0;
	tell_process(EVENT_ESCAPE, run, task, BPF_CORE_READ(to, kn, id));
	return 0;
}

/* Keeps the types of the wire in the object's BTF, where bpf/layout.ts reads them. Never called or loaded. */
struct wire_types {
	struct attempt_event attempt_event;
	struct return_event return_event;
	struct outcome_event outcome_event;
	struct closed_event closed_event;
	struct opening_event opening_event;
	struct opening_piece_event opening_piece_event;
	struct dns_event dns_event;
	struct process_event process_event;
	struct exec_event exec_event;
	struct connection connection;
	enum decision decision;
	enum opening_use opening_use;
	enum opening_says opening_says;
	enum outcome_state outcome_state;
	enum syscall syscall;
	enum transport transport;
	enum event_kind event_kind;
	enum hook hook;
	enum cause cause;
	enum loss loss;
	enum run_flags run_flags;
	enum fact_clock fact_clock;
};

__noinline int wire_types(const struct wire_types *types)
{
	return types != NULL;
}
