// SPDX-License-Identifier: Apache-2.0
// Handles: tagged, so that one of another kind, a copy or a stranger is refused.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>

static const napi_type_tag tags[KIND_COUNT] = {
	[KIND_OBJECT] = { 0x6163796c69636f62, 0x9d1f4c02b1e74a01 },
	[KIND_MAP] = { 0x6163796c69636d61, 0x9d1f4c02b1e74a02 },
	[KIND_LINK] = { 0x6163796c69636c69, 0x9d1f4c02b1e74a03 },
	[KIND_RING] = { 0x6163796c69637269, 0x9d1f4c02b1e74a04 },
	[KIND_DATAGRAMS] = { 0x6163796c69636475, 0x9d1f4c02b1e74a05 },
};

static const char *const names[KIND_COUNT] = {
	[KIND_OBJECT] = "object",
	[KIND_MAP] = "map",
	[KIND_LINK] = "link",
	[KIND_RING] = "ring",
	[KIND_DATAGRAMS] = "set of datagrams",
};

napi_value handle_new(struct call *c, struct handle *h, napi_finalize destroy)
{
	napi_value object;

	// Tagged before it is wrapped: once wrapped, the collector owns the resource.
	if (napi_create_object(c->env, &object) == napi_ok &&
	    napi_type_tag_object(c->env, object, &tags[h->kind]) == napi_ok &&
	    napi_wrap(c->env, object, h, destroy, NULL, NULL) == napi_ok)
		return object;
	destroy(c->env, h, NULL);
	return throw_errno(c, ENOMEM, "handle");
}

void *arg_handle_any(struct call *c, napi_value v, enum kind kind)
{
	napi_valuetype type;
	bool matches = false;
	void *data = NULL;

	if (napi_typeof(c->env, v, &type) == napi_ok && type == napi_object &&
	    napi_check_object_type_tag(c->env, v, &tags[kind], &matches) == napi_ok && matches &&
	    napi_unwrap(c->env, v, &data) == napi_ok && data)
		return data;
	return throw_type(c, "expected a handle of a %s", names[kind]);
}

void *arg_handle(struct call *c, napi_value v, enum kind kind)
{
	struct handle *h = arg_handle_any(c, v, kind);

	if (h && h->closed)
		return throw_errno(c, EBADF, "this %s is closed", names[kind]);
	return h;
}
