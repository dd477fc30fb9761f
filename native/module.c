// SPDX-License-Identifier: Apache-2.0
// Registration: every exported function goes through one trampoline.
#define _GNU_SOURCE
#include "acyclic.h"

#include <unistd.h>

static napi_value invoke(napi_env env, napi_callback_info info)
{
	struct call c = { .env = env };
	size_t count = MAX_ARGS;
	void *data = NULL;

	if (napi_get_cb_info(env, info, &count, c.arg, NULL, &data) != napi_ok)
		return NULL;
	const struct export *e = data;
	c.name = e->name;
	return e->fn(&c);
}

static bool add_exports(napi_env env, napi_value exports, const struct export *table)
{
	for (const struct export *e = table; e->name; e++) {
		napi_value fn;

		if (napi_create_function(env, e->name, NAPI_AUTO_LENGTH, invoke, (void *)e, &fn) != napi_ok ||
		    napi_set_named_property(env, exports, e->name, fn) != napi_ok)
			return false;
	}
	return true;
}

static napi_value init(napi_env env, napi_value exports)
{
	// Signal handlers, children and libbpf's print hook belong to the process, so one thread owns them.
	if (gettid() != getpid()) {
		napi_throw_error(env, "ENOTSUP", "the acyclic addon can be loaded from the main thread only");
		return NULL;
	}
	addon_begin();
	for (const struct export *const *table = addon_exports; *table; table++)
		if (!add_exports(env, exports, *table))
			return NULL;
	return exports;
}

NAPI_MODULE(acyclic, init)
