// SPDX-License-Identifier: Apache-2.0
// The command, started inside its cgroup: never for a moment outside it.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_STRINGS = 1 << 20, MAX_STRING_BYTES = 1 << 21, MAX_FDS = 4096, NO_FD = -1 };

enum stage { STAGE_CLONE, STAGE_CGROUP, STAGE_CHDIR, STAGE_EXEC };

static const char *const stage_names[] = { "clone", "cgroup", "chdir", "exec" };

struct spawn {
	char *file, *cwd;
	char **args, **env;
	int cgroup;
	/** Of `args`, for /bin/sh; NULL: what the kernel cannot execute is an error. */
	char **script_args;
	/** Closed by execve: end of file is success. */
	int report_pipe[2];
	/** A byte lets the child go on, end of file ends it; NO_FD when it is not held. */
	int hold_pipe[2];
	/** Descriptors the command keeps. */
	int *fds;
	uint32_t fd_count;
	bool join;
	uint64_t ignored;
	int64_t nofile;
};

struct failure {
	int32_t stage, err;
};

static void strings_free(char **strings)
{
	for (char **s = strings; s && *s; s++)
		free(*s);
	free(strings);
}

static bool arg_strings(struct call *c, napi_value options, const char *key, char ***out)
{
	napi_value array;
	uint32_t count;
	bool is_array = false;

	if (!get_property(c, options, key, &array))
		return false;
	if (napi_is_array(c->env, array, &is_array) != napi_ok || !is_array ||
	    napi_get_array_length(c->env, array, &count) != napi_ok || count > MAX_STRINGS) {
		throw_type(c, "%s must be an array of strings", key);
		return false;
	}
	*out = calloc((size_t)count + 1, sizeof(char *));
	for (uint32_t i = 0; *out && i < count; i++) {
		napi_value element;

		if (napi_get_element(c->env, array, i, &element) != napi_ok ||
		    !arg_string(c, element, key, MAX_STRING_BYTES, &(*out)[i])) {
			throw_type(c, "%s must be an array of strings", key);
			return false;
		}
	}
	if (!*out)
		throw_errno(c, ENOMEM, "%s", key);
	return *out != NULL;
}

static bool option_script(struct call *c, napi_value options, struct spawn *s)
{
	napi_value value;

	return get_property(c, options, "scriptArgs", &value) &&
	       (is_nullish(c, value) || arg_strings(c, options, "scriptArgs", &s->script_args));
}

static bool option_fds(struct call *c, napi_value options, struct spawn *s)
{
	napi_value array;
	bool is_array = false;

	if (!get_property(c, options, "fds", &array))
		return false;
	if (napi_is_array(c->env, array, &is_array) != napi_ok || !is_array ||
	    napi_get_array_length(c->env, array, &s->fd_count) != napi_ok || s->fd_count > MAX_FDS) {
		throw_type(c, "fds must be an array of at most %d descriptors", MAX_FDS);
		return false;
	}
	s->fds = calloc((size_t)s->fd_count + 1, sizeof(int));
	if (!s->fds) {
		throw_errno(c, ENOMEM, "fds");
		return false;
	}
	for (uint32_t i = 0; i < s->fd_count; i++) {
		napi_value element;

		if (napi_get_element(c->env, array, i, &element) != napi_ok ||
		    !arg_fd(c, element, "descriptor", &s->fds[i]))
			return false;
	}
	return true;
}

static bool option_integer(struct call *c, napi_value options, const char *key, int64_t max, int64_t *out)
{
	napi_value value;

	return get_property(c, options, key, &value) && arg_integer(c, value, key, -1, max, out);
}

static bool read_options(struct call *c, napi_value options, struct spawn *s)
{
	napi_value value;
	int64_t cgroup;

	if (!arg_object(c, options, "options") || !get_property(c, options, "file", &value) ||
	    !arg_string(c, value, "file", MAX_PATH_BYTES, &s->file) || !arg_strings(c, options, "args", &s->args) ||
	    !arg_strings(c, options, "env", &s->env) || !option_script(c, options, s) || !get_property(c, options, "cwd", &value) ||
	    (!is_nullish(c, value) && !arg_string(c, value, "cwd", MAX_PATH_BYTES, &s->cwd)) ||
	    !option_integer(c, options, "cgroupFd", INT32_MAX, &cgroup) ||
	    !option_integer(c, options, "nofileSoft", (INT64_C(1) << 53) - 1, &s->nofile) ||
	    !get_property(c, options, "ignoredSignals", &value) ||
	    !arg_u64(c, value, "ignoredSignals", &s->ignored) || !option_fds(c, options, s))
		return false;
	s->cgroup = (int)cgroup;
	return true;
}

// From here on the child: async-signal-safe calls only, and no return.

static void child_fail(const struct spawn *s, enum stage stage)
{
	struct failure failure = { stage, errno };

	while (write(s->report_pipe[1], &failure, sizeof(failure)) < 0 && errno == EINTR)
		;
	_exit(127);
}

static void child_join(const struct spawn *s)
{
	int fd = openat(s->cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		child_fail(s, STAGE_CGROUP);
	close(fd);
}

static bool is_own_pipe(const struct spawn *s, int fd)
{
	return fd == s->report_pipe[0] || fd == s->report_pipe[1] || fd == s->hold_pipe[0] || fd == s->hold_pipe[1];
}

/** Node makes standard streams non-blocking for itself; few programs expect that of theirs (libuv does the same). */
static void child_block_stdio(void)
{
	for (int fd = 0; fd < 3; fd++) {
		int flags = fcntl(fd, F_GETFL);

		if (flags >= 0 && flags & O_NONBLOCK)
			fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	}
}

/**
 * Until it is released, in whatever cgroup it is put meanwhile. A parent that ends without a word takes it along:
 * then it has executed nothing.
 */
static void child_hold(const struct spawn *s)
{
	char byte;
	ssize_t got;

	close(s->hold_pipe[1]);
	do
		got = read(s->hold_pipe[0], &byte, sizeof(byte));
	while (got < 0 && errno == EINTR);
	if (got != sizeof(byte))
		_exit(127);
}

static void child_run(const struct spawn *s)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	struct rlimit limit;
	sigset_t none;

	if (s->join)
		child_join(s);
	if (s->hold_pipe[0] != NO_FD)
		child_hold(s);
	for (int signal = 1; signal < NSIG; signal++) {
		action.sa_handler = s->ignored >> (signal - 1) & 1 ? SIG_IGN : SIG_DFL;
		sigaction(signal, &action, NULL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (s->nofile >= 0 && !getrlimit(RLIMIT_NOFILE, &limit) && (rlim_t)s->nofile <= limit.rlim_max) {
		limit.rlim_cur = (rlim_t)s->nofile;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	// A number that was not open when asked for may be a pipe's of ours by now, which execve has to close.
	for (uint32_t i = 0; i < s->fd_count; i++)
		if (!is_own_pipe(s, s->fds[i]))
			fcntl(s->fds[i], F_SETFD, 0);
	child_block_stdio();
	if (s->cwd && chdir(s->cwd))
		child_fail(s, STAGE_CHDIR);
	execve(s->file, s->args, s->env);
	// A script without an interpreter line is one for sh, as execvp(3) has it.
	if (errno == ENOEXEC && s->script_args)
		execve("/bin/sh", s->script_args, s->env);
	child_fail(s, STAGE_EXEC);
}

// The parent again.

/** fork, straight into the cgroup; -1 with errno. */
static pid_t clone_into(const struct spawn *s, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | (s->cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = s->cgroup >= 0 ? (uint64_t)s->cgroup : 0,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/** Signals stay blocked until the child has its own dispositions: a handler of ours must not run there. */
static pid_t start(struct spawn *s, int *pidfd)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = clone_into(s, pidfd);
	// Kernels before 5.7 and filters that know no clone3: the child enters the cgroup before it execs.
	if (pid < 0 && (errno == EINVAL || errno == E2BIG || errno == ENOSYS || errno == EPERM)) {
		s->join = s->cgroup >= 0;
		pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, 0);
	}
	if (pid == 0)
		child_run(s);
	int err = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = err;
	return pid;
}

/** Whether clone3 failed for its CLONE_INTO_CGROUP. */
static bool is_cgroup_error(const struct spawn *s, int err)
{
	return s->cgroup >= 0 && (err == EBADF || err == EACCES || err == EBUSY || err == EOPNOTSUPP ||
				  err == ENODEV || err == ENOENT);
}

static napi_value throw_stage(struct call *c, enum stage stage, int err, const char *file)
{
	char message[MAX_PATH_BYTES + 128];
	napi_value error;

	snprintf(message, sizeof(message), "%s: %s: %s: %s", c->name, file, stage_names[stage], strerror(err));
	error = make_error(c, err, message);
	if (!set_property(c, error, "stage", from_string(c, stage_names[stage])) ||
	    napi_throw(c->env, error) != napi_ok)
		return throw_errno(c, err, "%s", file);
	return NULL;
}

static bool make_pipes(struct spawn *s, bool held)
{
	if (pipe2(s->report_pipe, O_CLOEXEC))
		return false;
	if (!held || !pipe2(s->hold_pipe, O_CLOEXEC))
		return true;
	close(s->report_pipe[0]);
	close(s->report_pipe[1]);
	return false;
}

static void close_open(int fd)
{
	if (fd != NO_FD)
		close(fd);
}

/** Waits until execve has succeeded. False: an exception is pending, and the child is gone. */
static bool began(struct call *c, pid_t pid, int report_fd, const char *file)
{
	struct failure failure;
	ssize_t got;

	do
		got = read(report_fd, &failure, sizeof(failure));
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(failure))
		return true;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	throw_stage(c, failure.stage, failure.err, file);
	return false;
}

static napi_value run(struct call *c, struct spawn *s, bool held)
{
	int pidfd = NO_FD, err;
	napi_value result;
	pid_t pid;

	if (!make_pipes(s, held))
		return throw_stage(c, STAGE_CLONE, errno, s->file);
	pid = start(s, &pidfd);
	err = errno;
	close(s->report_pipe[1]);
	close_open(s->hold_pipe[0]);
	if (pid < 0) {
		close(s->report_pipe[0]);
		close_open(s->hold_pipe[1]);
		return throw_stage(c, is_cgroup_error(s, err) ? STAGE_CGROUP : STAGE_CLONE, err, s->file);
	}
	if (!held) {
		bool ok = began(c, pid, s->report_pipe[0], s->file);

		close(s->report_pipe[0]);
		if (!ok) {
			close(pidfd);
			return NULL;
		}
	}
	result = new_object(c);
	if (set_property(c, result, "pid", from_number(c, pid)) &&
	    set_property(c, result, "pidfd", from_number(c, pidfd)) &&
	    (!held || (set_property(c, result, "holdFd", from_number(c, s->hold_pipe[1])) &&
		       set_property(c, result, "reportFd", from_number(c, s->report_pipe[0])))))
		return result;
	return NULL;
}

static napi_value spawn_with(struct call *c, bool held)
{
	struct spawn s = { .cgroup = NO_FD, .hold_pipe = { NO_FD, NO_FD } };
	napi_value result = NULL;

	if (read_options(c, c->arg[0], &s))
		result = run(c, &s, held);
	free(s.file);
	free(s.cwd);
	free(s.fds);
	strings_free(s.args);
	strings_free(s.env);
	strings_free(s.script_args);
	return result;
}

static napi_value spawn(struct call *c)
{
	return spawn_with(c, false);
}

static napi_value spawn_held(struct call *c)
{
	return spawn_with(c, true);
}

static bool held_fd(struct call *c, const char *key, int *out)
{
	napi_value value;

	return get_property(c, c->arg[0], key, &value) && arg_fd(c, value, key, out);
}

static bool read_held(struct call *c, int64_t *pid, int *hold, int *report)
{
	napi_value value;

	siginfo_t info;

	if (!arg_object(c, c->arg[0], "held child") || !get_property(c, c->arg[0], "pid", &value) ||
	    !arg_integer(c, value, "pid", 1, INT32_MAX, pid) || !held_fd(c, "holdFd", hold) ||
	    !held_fd(c, "reportFd", report))
		return false;
	// Not a child of ours, or reaped already.
	if (!waitid(P_PID, (id_t)*pid, &info, WEXITED | WNOHANG | WNOWAIT))
		return true;
	throw_errno(c, errno, "process %d", (int)*pid);
	return false;
}

/** Lets a held child execute. A child that was killed while it was held has ended, as waitChild tells. */
static napi_value spawn_release(struct call *c)
{
	int64_t pid;
	int hold, report;

	if (!read_held(c, &pid, &hold, &report))
		return NULL;
	// Node ignores SIGPIPE: a child that is gone is no reason to end.
	while (write(hold, "", 1) < 0 && errno == EINTR)
		;
	close(hold);
	began(c, (pid_t)pid, report, "command");
	close(report);
	return NULL;
}

/** Ends a held child, which has executed nothing, and reaps it. */
static napi_value spawn_abandon(struct call *c)
{
	int64_t pid;
	int hold, report;

	if (!read_held(c, &pid, &hold, &report))
		return NULL;
	kill((pid_t)pid, SIGKILL);
	close(hold);
	close(report);
	while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
	return NULL;
}

const struct export spawn_exports[] = {
	{ "spawn", spawn },
	{ "spawnHeld", spawn_held },
	{ "spawnRelease", spawn_release },
	{ "spawnAbandon", spawn_abandon },
	{},
};
