// SPDX-License-Identifier: Apache-2.0
// Between clone and execve: only async-signal-safe calls, since other threads may have held any lock.
#define _GNU_SOURCE
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAST_SIGNAL = 64 };

/** The kernel's own sigaction: glibc's refuses the two signals it keeps for itself. */
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static void set_signal_mask(const uint64_t *mask, uint64_t *old)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, old, sizeof(*mask));
}

static void reset_signals(uint64_t ignored)
{
	for (int signo = 1; signo <= LAST_SIGNAL; signo++) {
		bool ignore = ignored >> (signo - 1) & 1;
		struct kernel_sigaction action = { .handler = ignore ? (void *)SIG_IGN : (void *)SIG_DFL };

		syscall(SYS_rt_sigaction, signo, &action, NULL, sizeof(action.mask));
	}
}

__attribute__((noreturn)) static void fail(int pipe_fd, enum stage stage)
{
	struct failure f = { .err = errno, .stage = stage };

	// Smaller than PIPE_BUF, so it is written whole or not at all.
	if (write(pipe_fd, &f, sizeof(f)) < 0)
		_exit(126);
	_exit(127);
}

static int join_cgroup(int cgroup)
{
	int fd = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		return -1;
	return close(fd);
}

/** Node marks the standard streams, as all it inherits, to be closed by execve. */
static void keep_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		fcntl(fd, F_SETFD, 0);
}

/** Descriptors are first copied out of the way, so that no target overwrites a source not yet used. */
static int place_fds(const struct child *child, int *pipe_fd)
{
	int copies[MAX_FDS];

	*pipe_fd = fcntl(*pipe_fd, F_DUPFD_CLOEXEC, child->fd_count);
	if (*pipe_fd < 0)
		return -1;
	for (int i = 0; i < child->fd_count; i++) {
		copies[i] = -1;
		if (child->fds[i] < 0)
			continue;
		copies[i] = fcntl(child->fds[i], F_DUPFD_CLOEXEC, child->fd_count);
		if (copies[i] < 0)
			return -1;
	}
	for (int i = 0; i < child->fd_count; i++)
		if (copies[i] >= 0 && dup2(copies[i], i) < 0)
			return -1;
	return 0;
}

__attribute__((noreturn)) static void become(const struct child *child, int pipe_fd, bool join)
{
	struct rlimit limit;
	uint64_t none = 0;

	if (join && join_cgroup(child->cgroup))
		fail(pipe_fd, STAGE_CGROUP);
	reset_signals(child->ignored);
	keep_standard_streams();
	if (child->fd_count && place_fds(child, &pipe_fd))
		fail(pipe_fd, STAGE_FDS);
	if (child->nofile >= 0 && !getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = (rlim_t)child->nofile < limit.rlim_max ? (rlim_t)child->nofile : limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (child->cwd && chdir(child->cwd))
		fail(pipe_fd, STAGE_CHDIR);
	set_signal_mask(&none, NULL);
	execve(child->file, child->args, child->env);
	fail(pipe_fd, STAGE_EXEC);
}

static bool is_cgroup_error(int err)
{
	return err == EBADF || err == EACCES || err == EBUSY || err == EOPNOTSUPP || err == ENODEV || err == ENOENT;
}

/** As fork, the child returning 0. `join`: the child has still to enter the cgroup itself. */
static int clone_child(struct child *child, bool *join)
{
	struct clone_args args = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD,
				   .pidfd = (uint64_t)(uintptr_t)&child->pidfd };
	long pid;

	*join = false;
	if (child->cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)child->cgroup;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid >= 0 || (errno != ENOSYS && errno != EPERM && errno != E2BIG))
		return (int)pid;
	// Kernels before 5.7, and filters that know no clone3.
	*join = child->cgroup >= 0;
	return (int)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &child->pidfd, NULL, 0);
}

static void reap(int pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

bool child_start(struct child *child, struct failure *failure)
{
	uint64_t all = ~UINT64_C(0), old;
	int pipes[2], err;
	ssize_t got;
	bool join;

	child->pidfd = -1;
	if (pipe2(pipes, O_CLOEXEC)) {
		*failure = (struct failure){ .err = errno, .stage = STAGE_CLONE };
		return false;
	}
	// No handler of ours may run in the child.
	set_signal_mask(&all, &old);
	child->pid = clone_child(child, &join);
	if (!child->pid)
		become(child, pipes[1], join);
	err = errno;
	set_signal_mask(&old, NULL);
	close(pipes[1]);
	if (child->pid < 0) {
		close(pipes[0]);
		*failure = (struct failure){ .err = err, .stage = child->cgroup >= 0 && is_cgroup_error(err) ?
									 STAGE_CGROUP : STAGE_CLONE };
		return false;
	}
	do
		got = read(pipes[0], failure, sizeof(*failure));
	while (got < 0 && errno == EINTR);
	close(pipes[0]);
	// End of file: the pipe was closed by execve.
	if (got != (ssize_t)sizeof(*failure))
		return true;
	reap(child->pid);
	close(child->pidfd);
	return false;
}
