// SPDX-License-Identifier: Apache-2.0
// A descriptor polled on Node's own loop.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct watch {
	uv_poll_t poll;
	napi_env env;
	napi_ref callback;
	napi_async_context async;
	watch_fn ready;
	void *context;
	int owned_fd;
	bool stopped;
};

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	napi_handle_scope scope;

	(void)events;
	if (status < 0) {
		watch_stop(w);
		return;
	}
	if (napi_open_handle_scope(w->env, &scope) != napi_ok)
		return;
	napi_env env = w->env;

	w->ready(w, w->context);
	napi_close_handle_scope(env, scope);
}

static void on_env_exit(void *data)
{
	watch_stop(data);
}

struct watch *watch_start(struct call *c, int fd, bool owned, napi_value callback, watch_fn ready, void *context)
{
	struct watch *w = calloc(1, sizeof(*w));
	napi_value name = from_string(c, "acyclic");
	uv_loop_t *loop;
	int err = ENOMEM;

	if (!w || napi_get_uv_event_loop(c->env, &loop) != napi_ok)
		goto fail;
	*w = (struct watch){ .env = c->env, .ready = ready, .context = context, .owned_fd = owned ? fd : -1 };
	if (napi_create_reference(c->env, callback, 1, &w->callback) != napi_ok ||
	    napi_async_init(c->env, NULL, name, &w->async) != napi_ok)
		goto fail;
	err = -uv_poll_init(loop, &w->poll, fd);
	if (err)
		goto fail;
	w->poll.data = w;
	err = -uv_poll_start(&w->poll, UV_READABLE, on_poll);
	if (!err && napi_add_env_cleanup_hook(c->env, on_env_exit, w) == napi_ok)
		return w;
	napi_delete_reference(c->env, w->callback);
	napi_async_destroy(c->env, w->async);
	uv_close((uv_handle_t *)&w->poll, on_closed);
	if (owned)
		close(fd);
	throw_errno(c, err ? err : ENOMEM, "descriptor %d", fd);
	return NULL;
fail:
	if (w && w->callback)
		napi_delete_reference(c->env, w->callback);
	if (w && w->async)
		napi_async_destroy(c->env, w->async);
	free(w);
	if (owned)
		close(fd);
	throw_errno(c, err, "descriptor %d", fd);
	return NULL;
}

void watch_stop(struct watch *w)
{
	if (!w || w->stopped)
		return;
	w->stopped = true;
	napi_remove_env_cleanup_hook(w->env, on_env_exit, w);
	uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->poll, on_closed);
	napi_delete_reference(w->env, w->callback);
	napi_async_destroy(w->env, w->async);
	if (w->owned_fd >= 0)
		close(w->owned_fd);
}

void watch_ref(struct watch *w, bool ref)
{
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

	if (napi_get_reference_value(env, w->callback, &callback) != napi_ok || !callback ||
	    napi_get_global(env, &receiver) != napi_ok)
		return;
	napi_make_callback(env, w->async, receiver, callback, argc, argv, NULL);
	if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
	    napi_get_and_clear_last_exception(env, &error) == napi_ok)
		napi_fatal_exception(env, error);
}

napi_env watch_env(const struct watch *w)
{
	return w->env;
}
