// SPDX-License-Identifier: Apache-2.0
// Children: how they are, and when they end.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *state_name(int code)
{
	switch (code) {
	case CLD_EXITED:
		return "exited";
	case CLD_KILLED:
	case CLD_DUMPED:
		return "signaled";
	case CLD_CONTINUED:
		return "continued";
	default:
		return "stopped";
	}
}

static napi_value wait_child(struct call *c)
{
	siginfo_t info = {};
	napi_value result;
	int64_t pid;

	if (!arg_integer(c, c->arg[0], "pid", 1, INT32_MAX, &pid))
		return NULL;
	if (waitid(P_PID, (id_t)pid, &info, WNOHANG | WEXITED | WSTOPPED | WCONTINUED))
		return throw_errno(c, errno, "process %d", (int)pid);
	if (!info.si_pid)
		return null_value(c);
	result = new_object(c);
	if (set_property(c, result, "state", from_string(c, state_name(info.si_code))) &&
	    set_property(c, result, "value", from_number(c, info.si_status)))
		return result;
	return NULL;
}

static int send_signal(int pidfd, int signal)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

static void on_ended(struct watch *w, void *context)
{
	(void)context;
	watch_call(w, 0, NULL);
	watch_stop(w);
}

static napi_value pidfd_watch(struct call *c)
{
	int fd, copy;

	if (!arg_fd(c, c->arg[0], "pidfd", &fd) || !arg_function(c, c->arg[1], "callback"))
		return NULL;
	// A process that is gone or not ours gives ESRCH or EPERM; these say that it is no pidfd.
	if (send_signal(fd, 0) && (errno == EBADF || errno == EINVAL))
		return throw_errno(c, errno, "descriptor %d", fd);
	// A descriptor of its own: closing the caller's must not pull it from under the loop.
	copy = dup_cloexec(fd);
	if (copy < 0)
		return throw_errno(c, errno, "descriptor %d", fd);
	watch_start(c, copy, true, c->arg[1], on_ended, NULL);
	return NULL;
}

static napi_value pidfd_send_signal(struct call *c)
{
	int64_t signal;
	int fd;

	if (!arg_fd(c, c->arg[0], "pidfd", &fd) || !arg_integer(c, c->arg[1], "signal", 0, NSIG - 1, &signal))
		return NULL;
	if (send_signal(fd, (int)signal))
		return throw_errno(c, errno, "descriptor %d", fd);
	return NULL;
}

static napi_value close_fd(struct call *c)
{
	int fd;

	if (arg_fd(c, c->arg[0], "descriptor", &fd) && close(fd))
		throw_errno(c, errno, "descriptor %d", fd);
	return NULL;
}

const struct export wait_exports[] = {
	{ "waitChild", wait_child },
	{ "pidfdWatch", pidfd_watch },
	{ "pidfdSendSignal", pidfd_send_signal },
	{ "closeFd", close_fd },
	{},
};
