// SPDX-License-Identifier: Apache-2.0
// A descriptor polled on Node's own loop.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

// Freed when libuv has closed the handle and the owner has given it up, in either order: at the end of the
// environment the handle is closed under its owner.
struct watch {
	uv_poll_t poll;
	napi_env env;
	napi_ref callback;
	watch_fn ready;
	void *context;
	int owned_fd;
	bool halted, closed, released;
};

static void free_if_done(struct watch *w)
{
	if (w->closed && w->released)
		free(w);
}

static void on_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	w->closed = true;
	free_if_done(w);
}

static void halt(void *data)
{
	struct watch *w = data;

	if (w->halted)
		return;
	w->halted = true;
	napi_remove_env_cleanup_hook(w->env, halt, w);
	uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->poll, on_closed);
	napi_delete_reference(w->env, w->callback);
	if (w->owned_fd >= 0)
		close(w->owned_fd);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	napi_env env = w->env;
	napi_handle_scope scope;

	(void)events;
	if (status < 0) {
		halt(w);
		return;
	}
	if (napi_open_handle_scope(env, &scope) != napi_ok)
		return;
	w->ready(w, w->context);
	napi_close_handle_scope(env, scope);
}

struct watch *watch_start(struct call *c, int fd, bool owned, napi_value callback, watch_fn ready, void *context)
{
	struct watch *w = calloc(1, sizeof(*w));
	uv_loop_t *loop;
	int err = ENOMEM;

	if (!w || napi_get_uv_event_loop(c->env, &loop) != napi_ok)
		goto fail;
	*w = (struct watch){ .env = c->env, .ready = ready, .context = context, .owned_fd = owned ? fd : -1 };
	if (napi_create_reference(c->env, callback, 1, &w->callback) != napi_ok)
		goto fail;
	err = -uv_poll_init(loop, &w->poll, fd);
	if (err) {
		napi_delete_reference(c->env, w->callback);
		goto fail;
	}
	w->poll.data = w;
	err = -uv_poll_start(&w->poll, UV_READABLE, on_poll);
	if (!err && napi_add_env_cleanup_hook(c->env, halt, w) == napi_ok)
		return w;
	watch_stop(w);
	throw_errno(c, err ? err : ENOMEM, "descriptor %d", fd);
	return NULL;
fail:
	free(w);
	if (owned)
		close(fd);
	throw_errno(c, err, "descriptor %d", fd);
	return NULL;
}

void watch_stop(struct watch *w)
{
	if (!w)
		return;
	halt(w);
	w->released = true;
	free_if_done(w);
}

void watch_ref(struct watch *w, bool ref)
{
	if (w->halted)
		return;
	if (ref)
		uv_ref((uv_handle_t *)&w->poll);
	else
		uv_unref((uv_handle_t *)&w->poll);
}

void watch_call(struct watch *w, size_t argc, const napi_value *argv)
{
	napi_env env = w->env;
	napi_value callback, receiver, error;
	bool pending = false;

	if (w->halted || napi_get_reference_value(env, w->callback, &callback) != napi_ok || !callback ||
	    napi_get_global(env, &receiver) != napi_ok)
		return;
	napi_make_callback(env, NULL, receiver, callback, argc, argv, NULL);
	if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
	    napi_get_and_clear_last_exception(env, &error) == napi_ok)
		napi_fatal_exception(env, error);
}

napi_env watch_env(const struct watch *w)
{
	return w->env;
}
