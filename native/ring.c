// SPDX-License-Identifier: Apache-2.0
// Ring buffers: many records leave in one Buffer.
//
// The kernel's words lie in shared memory (kernel/bpf/ringbuf.c): how far it has written, and how far it may write
// again, which is how far we have read. The second outlives us with the map, so it is also how far a later process
// reads on. What is only looked at moves our own position, and that word when it is committed.
#define _GNU_SOURCE
#include "acyclic.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEADER = 8 };

struct ring {
	struct handle handle;
	int map_fd, epoll;
	/** Of the kernel's ring, and of a page. */
	size_t size, page;
	/** Where the kernel may write again from: we have read up to there. */
	uint64_t *consumer;
	/** How far it has written, and in the page after that the records. The kernel would have them twice in a row there,
	 * which would count as memory of ours. */
	const uint64_t *producer;
	const uint8_t *records;
	/** How far we have looked. */
	uint64_t position;
	uint8_t *buffer;
	size_t capacity, used, limit;
	struct watch *watch;
};

static void unmap(struct ring *r)
{
	if (r->consumer)
		munmap(r->consumer, r->page);
	if (r->producer)
		munmap((void *)r->producer, r->page + r->size);
	if (r->buffer)
		munmap(r->buffer, r->capacity);
	if (r->epoll >= 0)
		close(r->epoll);
	if (r->map_fd >= 0)
		close(r->map_fd);
}

static void ring_release(struct ring *r)
{
	if (r->handle.closed)
		return;
	r->handle.closed = true;
	watch_stop(r->watch);
	r->watch = NULL;
	unmap(r);
}

static void ring_destroy(napi_env env, void *data, void *hint)
{
	(void)env, (void)hint;
	ring_release(data);
	free(data);
}

/** A record whose bytes are at a position; they may go on at the beginning of the ring. */
static void take(struct ring *r, uint64_t position, size_t length)
{
	size_t padded = (length + 7) & ~(size_t)7;
	size_t from = position & (r->size - 1);
	size_t first = length < r->size - from ? length : r->size - from;
	uint32_t header[2] = { (uint32_t)length, 0 };
	uint8_t *to = r->buffer + r->used + HEADER;

	memcpy(r->buffer + r->used, header, HEADER);
	memcpy(to, r->records + from, first);
	memcpy(to + first, r->records, length - first);
	memset(to + length, 0, padded - length);
	r->used += HEADER + padded;
}

/** Copies records up to the limit. One that is being written ends it. */
static void look(struct ring *r)
{
	uint64_t written = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);

	while (r->position < written && r->used < r->limit) {
		const uint8_t *at = r->records + (r->position & (r->size - 1));
		uint32_t head = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
		uint32_t length = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

		if (head & BPF_RINGBUF_BUSY_BIT || length > r->size)
			return;
		if (!(head & BPF_RINGBUF_DISCARD_BIT))
			take(r, r->position + HEADER, length);
		r->position += (length + HEADER + 7) & ~(uint64_t)7;
	}
}

/** False with errno; what is mapped by then is the caller's to unmap. */
static bool map_ring(struct ring *r)
{
	void *memory = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, r->map_fd, 0);
	struct epoll_event event = { .events = EPOLLIN };

	if (memory == MAP_FAILED)
		return false;
	r->consumer = memory;
	memory = mmap(NULL, r->page + r->size, PROT_READ, MAP_SHARED, r->map_fd, (off_t)r->page);
	if (memory == MAP_FAILED)
		return false;
	r->producer = memory;
	r->records = (const uint8_t *)memory + r->page;
	r->position = __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE);
	memory = mmap(NULL, r->capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	r->buffer = memory;
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	return r->epoll >= 0 && !epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->map_fd, &event);
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
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	r->epoll = -1;
	r->map_fd = dup_cloexec(m->fd);
	if (r->map_fd >= 0 && map_ring(r))
		return handle_new(c, &r->handle, ring_destroy);
	err = errno;
	unmap(r);
	free(r);
	return throw_errno(c, err, "map %s", m->name);
}

static void commit(struct ring *r)
{
	__atomic_store_n(r->consumer, r->position, __ATOMIC_RELEASE);
}

static napi_value consume(struct call *c, bool keep)
{
	struct ring *r = arg_handle(c, c->arg[0], KIND_RING);
	napi_value out;
	int64_t max;

	if (!r || !arg_integer(c, c->arg[1], "max bytes", 1, (INT64_C(1) << 53) - 1, &max))
		return NULL;
	r->limit = (uint64_t)max < r->size ? (size_t)max : r->size;
	look(r);
	out = from_bytes(c, r->buffer, r->used);
	if (!out)
		return NULL;
	r->used = 0;
	if (!keep)
		commit(r);
	return out;
}

static napi_value ring_consume(struct call *c)
{
	return consume(c, false);
}

static napi_value ring_look(struct call *c)
{
	return consume(c, true);
}

static napi_value ring_commit(struct call *c)
{
	struct ring *r = arg_handle(c, c->arg[0], KIND_RING);

	if (r)
		commit(r);
	return NULL;
}

static napi_value ring_position(struct call *c)
{
	struct ring *r = arg_handle(c, c->arg[0], KIND_RING);
	napi_value out;

	if (!r || napi_create_bigint_uint64(c->env, r->position, &out) != napi_ok)
		return NULL;
	return out;
}

/** Goes on from a position at which a record ends, if it is ahead, and not of what is yet to be written. */
static napi_value ring_skip(struct call *c)
{
	struct ring *r = arg_handle(c, c->arg[0], KIND_RING);
	uint64_t to;
	bool whole;

	if (!r)
		return NULL;
	if (napi_get_value_bigint_uint64(c->env, c->arg[1], &to, &whole) != napi_ok || !whole)
		return throw_errno(c, EINVAL, "position must be a bigint of 64 bits");
	if (to > __atomic_load_n(r->producer, __ATOMIC_ACQUIRE) || to % 8)
		return throw_errno(c, ERANGE, "position is not in the ring");
	if (to <= r->position)
		return NULL;
	r->position = to;
	commit(r);
	return NULL;
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
	r->watch = watch_start(c, r->epoll, false, c->arg[1], on_readable, NULL);
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
	{ "ringLook", ring_look },
	{ "ringCommit", ring_commit },
	{ "ringPosition", ring_position },
	{ "ringSkip", ring_skip },
	{ "ringWatch", ring_watch },
	{ "ringUnwatch", ring_unwatch },
	{ "ringRef", ring_ref },
	{ "ringUnref", ring_unref },
	{ "ringClose", ring_close },
	{},
};
