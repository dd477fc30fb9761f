// SPDX-License-Identifier: Apache-2.0
// Errors with a code, and what libbpf has to say about a failure.
#define _GNU_SOURCE
#include "acyclic.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KERNEL_ENOTSUPP = 524, MAX_TEXT = 1024, MAX_LOG = 16 << 20 };

// Of each thread: objects are loaded on another than the loop's.
static _Thread_local struct {
	bool active;
	char text[MAX_TEXT];
	char program[MAX_NAME_BYTES];
	char *log;
} capture;

const char *errno_name(int err)
{
	const char *name = err == KERNEL_ENOTSUPP ? "ENOTSUPP" : strerrorname_np(err);

	return name ? name : "EIO";
}

napi_value make_error(struct call *c, int err, const char *message)
{
	napi_value code = from_string(c, errno_name(err)), text = from_string(c, message), error;

	if (!code || !text || napi_create_error(c->env, code, text, &error) != napi_ok ||
	    !set_property(c, error, "errno", from_number(c, err)) ||
	    !set_property(c, error, "syscall", from_string(c, c->name)))
		return NULL;
	return error;
}

static void throw_made(struct call *c, napi_value error)
{
	if (!error || napi_throw(c->env, error) != napi_ok)
		napi_throw_error(c->env, "ENOMEM", "out of memory");
}

napi_value throw_errno(struct call *c, int err, const char *fmt, ...)
{
	char what[MAX_TEXT], message[MAX_TEXT * 2];
	bool pending = false;
	va_list ap;

	// What a getter threw goes first.
	if (napi_is_exception_pending(c->env, &pending) == napi_ok && pending)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(message, sizeof(message), "%s: %s: %s", c->name, what,
		 err == KERNEL_ENOTSUPP ? "Operation not supported by the kernel" : strerror(err));
	throw_made(c, make_error(c, err, message));
	return NULL;
}

napi_value throw_type(struct call *c, const char *fmt, ...)
{
	char what[MAX_TEXT], message[MAX_TEXT * 2];
	napi_value code, text, error;
	bool pending = false;
	va_list ap;

	if (napi_is_exception_pending(c->env, &pending) == napi_ok && pending)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(message, sizeof(message), "%s: %s", c->name, what);
	code = from_string(c, "EINVAL");
	text = from_string(c, message);
	if (!code || !text || napi_create_type_error(c->env, code, text, &error) != napi_ok ||
	    !set_property(c, error, "errno", from_number(c, EINVAL)) ||
	    !set_property(c, error, "syscall", from_string(c, c->name)))
		error = NULL;
	throw_made(c, error);
	return NULL;
}

// libbpf prints a failed program's log itself, after loading it a second time with logging on:
//   prog 'NAME': BPF program load failed: ...
//   prog 'NAME': -- BEGIN PROG LOAD LOG --\n...-- END PROG LOAD LOG --
static void keep_log(char *line)
{
	char *begin = strstr(line, "-- BEGIN PROG LOAD LOG --\n");
	char *end, *quote, *close;

	begin += strlen("-- BEGIN PROG LOAD LOG --\n");
	end = strstr(begin, "-- END PROG LOAD LOG --");
	quote = strchr(line, '\'');
	close = quote ? strchr(quote + 1, '\'') : NULL;
	if (quote && close && close < begin) {
		size_t length = (size_t)(close - quote - 1);

		if (length >= sizeof(capture.program))
			length = sizeof(capture.program) - 1;
		memcpy(capture.program, quote + 1, length);
		capture.program[length] = '\0';
	}
	if (end)
		*end = '\0';
	free(capture.log);
	capture.log = strdup(begin);
}

static int on_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *line;
	va_list again;
	int length;

	if (!capture.active || level == LIBBPF_DEBUG)
		return 0;
	va_copy(again, ap);
	length = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (length <= 0)
		return 0;
	if (length > MAX_LOG)
		length = MAX_LOG;
	line = malloc((size_t)length + 1);
	if (!line)
		return 0;
	vsnprintf(line, (size_t)length + 1, fmt, ap);
	if (strstr(line, "-- BEGIN PROG LOAD LOG --\n")) {
		keep_log(line);
	} else if (level == LIBBPF_WARN) {
		const char *text = strncmp(line, "libbpf: ", 8) ? line : line + 8;
		// The last warning wins, but for these, which only repeat that something failed.
		bool echo = strstr(text, "failed to load object") || strstr(text, "failed to load program");

		if (!echo)
			snprintf(capture.text, sizeof(capture.text), "%.*s", (int)strcspn(text, "\n"), text);
	}
	free(line);
	return 0;
}

void capture_install(void)
{
	libbpf_set_print(on_print);
}

void capture_begin(void)
{
	capture.active = true;
	capture.text[0] = '\0';
	capture.program[0] = '\0';
	free(capture.log);
	capture.log = NULL;
}

void capture_end(void)
{
	capture.active = false;
}

const char *capture_text(void)
{
	return capture.text[0] ? capture.text : NULL;
}

const char *capture_log(void)
{
	return capture.log;
}

const char *capture_program(void)
{
	return capture.program[0] ? capture.program : NULL;
}
