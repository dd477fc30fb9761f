// SPDX-License-Identifier: Apache-2.0
// Errors with a code.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KERNEL_ENOTSUPP = 524, MAX_TEXT = 1024 };

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
