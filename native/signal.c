// SPDX-License-Identifier: Apache-2.0
// Signals with their sender, which Node does not tell: the terminal's must not be passed on twice.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SIGNALS = 64 };

struct caught {
	int32_t signal, code, pid;
	uint32_t uid;
};

// One for the process, as dispositions are. The pipe stays open once made: a handler still running on another
// thread must never write to a descriptor that has become something else.
static struct {
	int write_fd, read_fd;
	struct watch *watch;
	bool watched[MAX_SIGNALS + 1];
	struct sigaction before[MAX_SIGNALS + 1];
} signals = { .write_fd = -1, .read_fd = -1 };

/** A pipe write of this size is atomic (PIPE_BUF); a full pipe means thousands are waiting to be read. */
static void on_signal(int signal, siginfo_t *info, void *context)
{
	struct caught caught = { signal, info->si_code, info->si_pid, info->si_uid };
	int err = errno;

	(void)context;
	if (write(signals.write_fd, &caught, sizeof(caught)) < 0)
		errno = err;
	errno = err;
}

static void on_readable(struct watch *w, void *context)
{
	struct caught caught;

	(void)context;
	// The callback may end this watch, or start another.
	while (signals.watch == w && read(signals.read_fd, &caught, sizeof(caught)) == (ssize_t)sizeof(caught)) {
		struct call c = { .env = watch_env(w), .name = "signalWatch" };
		napi_value argv[] = { from_number(&c, caught.signal), from_number(&c, caught.code),
				      from_number(&c, caught.pid), from_number(&c, caught.uid) };

		watch_call(w, 4, argv);
	}
}

static void unwatch(void)
{
	for (int signal = 1; signal <= MAX_SIGNALS; signal++) {
		if (signals.watched[signal])
			sigaction(signal, &signals.before[signal], NULL);
		signals.watched[signal] = false;
	}
	watch_stop(signals.watch);
	signals.watch = NULL;
}

static bool make_pipe(void)
{
	struct caught stale;
	int fds[2];

	if (signals.read_fd < 0) {
		if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
			return false;
		signals.read_fd = fds[0];
		signals.write_fd = fds[1];
	}
	while (read(signals.read_fd, &stale, sizeof(stale)) > 0)
		;
	return true;
}

/** A handler that returns to the instruction that faulted would never end. */
static bool is_fault(int64_t signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGTRAP ||
	       signal == SIGSYS || signal == SIGABRT;
}

static bool read_signals(struct call *c, napi_value array, bool *wanted)
{
	bool is_array = false;
	uint32_t count;

	if (napi_is_array(c->env, array, &is_array) != napi_ok || !is_array ||
	    napi_get_array_length(c->env, array, &count) != napi_ok || count > MAX_SIGNALS) {
		throw_type(c, "signals must be an array of signal numbers");
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		napi_value element;
		int64_t signal;

		if (napi_get_element(c->env, array, i, &element) != napi_ok ||
		    !arg_integer(c, element, "signal", 1, MAX_SIGNALS, &signal))
			return false;
		if (is_fault(signal)) {
			throw_errno(c, EINVAL, "signal %d", (int)signal);
			return false;
		}
		wanted[signal] = true;
	}
	return true;
}

static napi_value signal_watch(struct call *c)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
	bool wanted[MAX_SIGNALS + 1] = {};

	if (!read_signals(c, c->arg[0], wanted) || !arg_function(c, c->arg[1], "callback"))
		return NULL;
	if (signals.watch)
		return throw_errno(c, EALREADY, "signals are already watched");
	if (!make_pipe())
		return throw_errno(c, errno, "pipe");
	signals.watch = watch_start(c, signals.read_fd, false, c->arg[1], on_readable, NULL);
	if (!signals.watch)
		return NULL;
	watch_ref(signals.watch, false);
	sigfillset(&action.sa_mask);
	for (int signal = 1; signal <= MAX_SIGNALS; signal++) {
		if (!wanted[signal])
			continue;
		if (sigaction(signal, &action, &signals.before[signal])) {
			int err = errno;

			unwatch();
			return throw_errno(c, err, "signal %d", signal);
		}
		signals.watched[signal] = true;
	}
	return NULL;
}

static napi_value signal_unwatch(struct call *c)
{
	(void)c;
	unwatch();
	return NULL;
}

/** Tells now what the loop would tell later. */
static napi_value signal_read(struct call *c)
{
	(void)c;
	if (signals.watch)
		on_readable(signals.watch, NULL);
	return NULL;
}

static bool arg_signal(struct call *c, int *out)
{
	int64_t signal;

	if (!arg_integer(c, c->arg[0], "signal", 1, MAX_SIGNALS, &signal))
		return false;
	*out = (int)signal;
	return true;
}

static napi_value signal_ignore(struct call *c)
{
	struct sigaction action = { .sa_handler = SIG_IGN };
	int number;

	if (arg_signal(c, &number) && sigaction(number, &action, NULL))
		throw_errno(c, errno, "signal %d", number);
	return NULL;
}

static napi_value raise_signal(struct call *c)
{
	int number;

	if (arg_signal(c, &number) && raise(number))
		throw_errno(c, errno, "signal %d", number);
	return NULL;
}

const struct export signal_exports[] = {
	{ "signalWatch", signal_watch },
	{ "signalRead", signal_read },
	{ "signalUnwatch", signal_unwatch },
	{ "signalIgnore", signal_ignore },
	{ "raiseSignal", raise_signal },
	{},
};
