// SPDX-License-Identifier: Apache-2.0
// Ring buffers: many records leave in one Buffer.
//
// libbpf counts a record as consumed once its callback returns, whatever it returns. So the callback may
// never fail to take one: the buffer is reserved, without being touched, for the limit plus one largest record,
// and what could not be handed over stays in it for the next call.
#define _GNU_SOURCE
#include "acyclic.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEADER = 8, STOP = -ENOBUFS };

struct ring {
	struct handle handle;
	struct ring_buffer *bpf;
	int map_fd;
	/** Of the kernel's ring. */
	size_t size;
	uint8_t *buffer;
	size_t capacity, used, limit;
	struct watch *watch;
};

static void ring_release(struct ring *r)
{
	if (r->handle.closed)
		return;
	r->handle.closed = true;
	watch_stop(r->watch);
	r->watch = NULL;
	ring_buffer__free(r->bpf);
	close(r->map_fd);
	munmap(r->buffer, r->capacity);
}

static void ring_destroy(napi_env env, void *data, void *hint)
{
	(void)env, (void)hint;
	ring_release(data);
	free(data);
}

static int on_record(void *context, void *data, size_t length)
{
	struct ring *r = context;
	size_t padded = (length + 7) & ~(size_t)7;
	uint32_t header[2] = { (uint32_t)length, 0 };

	memcpy(r->buffer + r->used, header, HEADER);
	memcpy(r->buffer + r->used + HEADER, data, length);
	memset(r->buffer + r->used + HEADER + length, 0, padded - length);
	r->used += HEADER + padded;
	return r->used >= r->limit ? STOP : 0;
}

static napi_value ring_open(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	struct ring *r;
	int err;

	if (!m)
		return NULL;
	if (m->type != BPF_MAP_TYPE_RINGBUF)
		return throw_errno(c, EINVAL, "map %s is no ring buffer", m->name);
	r = calloc(1, sizeof(*r));
	if (!r)
		return throw_errno(c, ENOMEM, "ring");
	r->handle.kind = KIND_RING;
	r->size = m->max_entries;
	// A record has the same header and padding in the kernel's ring, so none is larger than it.
	r->capacity = 2 * r->size + 4096;
	r->map_fd = dup_cloexec(m->fd);
	err = errno;
	if (r->map_fd < 0)
		goto fail_fd;
	r->buffer = mmap(NULL, r->capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	err = errno;
	if (r->buffer == MAP_FAILED)
		goto fail_buffer;
	capture_begin();
	r->bpf = ring_buffer__new(r->map_fd, on_record, r, NULL);
	err = errno;
	capture_end();
	if (r->bpf)
		return handle_new(c, &r->handle, ring_destroy);
	munmap(r->buffer, r->capacity);
fail_buffer:
	close(r->map_fd);
fail_fd:
	free(r);
	return throw_errno(c, err, "map %s", m->name);
}

static napi_value ring_consume(struct call *c)
{
	struct ring *r = arg_handle(c, c->arg[0], KIND_RING);
	napi_value out;
	int64_t max;
	int err = 0;

	if (!r || !arg_integer(c, c->arg[1], "max bytes", 1, (INT64_C(1) << 53) - 1, &max))
		return NULL;
	r->limit = (uint64_t)max < r->size ? (size_t)max : r->size;
	if (r->used < r->limit)
		err = ring_buffer__consume(r->bpf);
	if (err < 0 && err != STOP && !r->used)
		return throw_errno(c, -err, "ring");
	out = from_bytes(c, r->buffer, r->used);
	if (out)
		r->used = 0;
	return out;
}

static void on_readable(struct watch *w, void *context)
{
	(void)context;
	watch_call(w, 0, NULL);
}

static napi_value ring_watch(struct call *c)
{
	struct ring *r = arg_handle(c, c->arg[0], KIND_RING);

	if (!r || !arg_function(c, c->arg[1], "callback"))
		return NULL;
	if (r->watch)
		return throw_errno(c, EALREADY, "this ring is already watched");
	r->watch = watch_start(c, ring_buffer__epoll_fd(r->bpf), false, c->arg[1], on_readable, NULL);
	return NULL;
}

static napi_value ring_unwatch(struct call *c)
{
	struct ring *r = arg_handle_any(c, c->arg[0], KIND_RING);

	if (!r)
		return NULL;
	watch_stop(r->watch);
	r->watch = NULL;
	return NULL;
}

static napi_value set_ref(struct call *c, bool ref)
{
	struct ring *r = arg_handle(c, c->arg[0], KIND_RING);

	if (!r)
		return NULL;
	if (!r->watch)
		return throw_errno(c, EINVAL, "this ring is not watched");
	watch_ref(r->watch, ref);
	return NULL;
}

static napi_value ring_ref(struct call *c)
{
	return set_ref(c, true);
}

static napi_value ring_unref(struct call *c)
{
	return set_ref(c, false);
}

static napi_value ring_close(struct call *c)
{
	struct ring *r = arg_handle_any(c, c->arg[0], KIND_RING);

	if (r)
		ring_release(r);
	return NULL;
}

const struct export ring_exports[] = {
	{ "ringOpen", ring_open },
	{ "ringConsume", ring_consume },
	{ "ringWatch", ring_watch },
	{ "ringUnwatch", ring_unwatch },
	{ "ringRef", ring_ref },
	{ "ringUnref", ring_unref },
	{ "ringClose", ring_close },
	{},
};
