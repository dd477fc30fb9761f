// SPDX-License-Identifier: Apache-2.0
// Sets of UDP sockets, and the sockets in them.
#define _GNU_SOURCE
#include "datagram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/** SO_MEMINFO: its length, and the index of the count of drops (linux/sock_diag.h). */
enum { MEMINFO_WORDS = 9, MEMINFO_DROPS = 8 };

static void release(struct datagrams *d)
{
	if (d->handle.closed)
		return;
	d->handle.closed = true;
	watch_stop(d->watch);
	d->watch = NULL;
	for (size_t i = 0; i < MAX_SOCKETS; i++)
		if (d->sockets[i].fd >= 0)
			close(d->sockets[i].fd);
	close(d->epoll);
	munmap(d->scratch, (size_t)BATCH * MAX_PAYLOAD);
}

static void destroy(napi_env env, void *data, void *hint)
{
	(void)env, (void)hint;
	release(data);
	free(data);
}

static napi_value datagrams_open(struct call *c)
{
	struct datagrams *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return throw_errno(c, ENOMEM, "datagrams");
	d->handle.kind = KIND_DATAGRAMS;
	for (size_t i = 0; i < MAX_SOCKETS; i++)
		d->sockets[i].fd = -1;
	d->scratch = mmap(NULL, (size_t)BATCH * MAX_PAYLOAD, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	err = errno;
	if (d->scratch == MAP_FAILED)
		goto fail;
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	err = errno;
	if (d->epoll >= 0)
		return handle_new(c, &d->handle, destroy);
	munmap(d->scratch, (size_t)BATCH * MAX_PAYLOAD);
fail:
	free(d);
	return throw_errno(c, err, "datagrams");
}

struct udp_socket *socket_of(struct datagrams *d, uint32_t number)
{
	struct udp_socket *s = &d->sockets[number % MAX_SOCKETS];

	return s->fd >= 0 && s->number == number ? s : NULL;
}

/** A free place, its number set; NULL when all are taken. */
static struct udp_socket *take(struct datagrams *d)
{
	for (int i = 0; i < MAX_SOCKETS; i++) {
		struct udp_socket *s = &d->sockets[++d->last % MAX_SOCKETS];

		if (s->fd >= 0)
			continue;
		s->number = d->last;
		return s;
	}
	return NULL;
}

/** A numeric address, with a zone where it has one, and a port. */
static bool arg_endpoint(struct call *c, napi_value text, napi_value port, union address *out, socklen_t *size)
{
	int64_t number;
	bool known;
	char *host;

	if (!arg_string(c, text, "address", MAX_NAME_BYTES, &host))
		return false;
	memset(out, 0, sizeof(*out));
	*size = sizeof(out->v4);
	known = !uv_ip4_addr(host, 0, &out->v4);
	if (!known) {
		*size = sizeof(out->v6);
		known = !uv_ip6_addr(host, 0, &out->v6);
	}
	free(host);
	if (!known) {
		throw_errno(c, EINVAL, "no numeric address");
		return false;
	}
	if (!arg_integer(c, port, "port", 0, UINT16_MAX, &number))
		return false;
	// The port is at the same place in both.
	out->v4.sin_port = htons((uint16_t)number);
	return true;
}

/** Watches a descriptor as a socket of the set; NULL with errno, and the descriptor is the caller's still. */
static struct udp_socket *watch_socket(struct datagrams *d, int fd)
{
	struct udp_socket *s = take(d);
	struct epoll_event event = { .events = EPOLLIN };

	errno = ENFILE;
	if (!s)
		return NULL;
	event.data.u32 = s->number;
	if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &event))
		return NULL;
	s->fd = fd;
	return s;
}

/** A socket of the set for one end, already watched; NULL with errno. */
static struct udp_socket *open_socket(struct datagrams *d, int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;
	struct udp_socket *s = fd < 0 ? NULL : watch_socket(d, fd);

	if (s || fd < 0)
		return s;
	err = errno;
	close(fd);
	errno = err;
	return NULL;
}

static napi_value fail_socket(struct call *c, struct udp_socket *s, int err)
{
	if (s) {
		close(s->fd);
		s->fd = -1;
	}
	return throw_errno(c, err, "UDP socket");
}

/** Past net.core.rmem_max where that is allowed, and as far as it goes where not. */
static void hold(int fd, int64_t room)
{
	int bytes = (int)room;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static bool arg_room(struct call *c, napi_value v, int64_t *room)
{
	return arg_integer(c, v, "bytes to hold", 0, INT32_MAX / 2, room);
}

static napi_value datagrams_bind(struct call *c)
{
	struct datagrams *d = arg_handle(c, c->arg[0], KIND_DATAGRAMS);
	union address at;
	socklen_t size;
	int64_t room;
	int one = 1;

	if (!d || !arg_endpoint(c, c->arg[1], c->arg[2], &at, &size) || !arg_room(c, c->arg[3], &room))
		return NULL;
	struct udp_socket *s = open_socket(d, at.any.sa_family);

	if (!s || (at.any.sa_family == AF_INET6 && setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
	    bind(s->fd, &at.any, size) || getsockname(s->fd, &at.any, &size))
		return fail_socket(c, s, errno);
	hold(s->fd, room);
	s->connected = false;
	napi_value result = new_object(c);

	if (set_property(c, result, "socket", from_number(c, s->number)) &&
	    set_property(c, result, "port", from_number(c, ntohs(at.v4.sin_port))))
		return result;
	return NULL;
}

static napi_value datagrams_adopt(struct call *c)
{
	struct datagrams *d = arg_handle(c, c->arg[0], KIND_DATAGRAMS);
	union address at = {};
	socklen_t size = sizeof(at), length = sizeof(int);
	int fd, type = 0;
	int64_t room;

	if (!d || !arg_fd(c, c->arg[1], "socket", &fd) || !arg_room(c, c->arg[2], &room))
		return NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) || getsockname(fd, &at.any, &size))
		return throw_errno(c, errno, "UDP socket");
	if (type != SOCK_DGRAM || (at.any.sa_family != AF_INET && at.any.sa_family != AF_INET6) || !at.v4.sin_port)
		return throw_errno(c, EINVAL, "descriptor %d is no bound UDP socket", fd);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return throw_errno(c, errno, "UDP socket");
	struct udp_socket *s = watch_socket(d, fd);

	if (!s)
		return throw_errno(c, errno, "UDP socket");
	hold(fd, room);
	s->connected = false;
	napi_value result = new_object(c);

	if (set_property(c, result, "socket", from_number(c, s->number)) &&
	    set_property(c, result, "port", from_number(c, ntohs(at.v4.sin_port))))
		return result;
	return NULL;
}

static napi_value datagrams_connect(struct call *c)
{
	struct datagrams *d = arg_handle(c, c->arg[0], KIND_DATAGRAMS);
	union address to;
	socklen_t size;
	int64_t room;

	if (!d || !arg_endpoint(c, c->arg[1], c->arg[2], &to, &size) || !arg_room(c, c->arg[3], &room))
		return NULL;
	struct udp_socket *s = open_socket(d, to.any.sa_family);

	if (!s || connect(s->fd, &to.any, size))
		return fail_socket(c, s, errno);
	hold(s->fd, room);
	s->connected = true;
	return from_number(c, s->number);
}

static bool arg_socket(struct call *c, napi_value v, uint32_t *number)
{
	int64_t value;

	if (!arg_integer(c, v, "socket", 0, UINT32_MAX, &value))
		return false;
	*number = (uint32_t)value;
	return true;
}

static napi_value datagrams_remove(struct call *c)
{
	struct datagrams *d = arg_handle(c, c->arg[0], KIND_DATAGRAMS);
	uint32_t number;

	if (!d || !arg_socket(c, c->arg[1], &number))
		return NULL;
	struct udp_socket *s = socket_of(d, number);

	if (s) {
		close(s->fd);
		s->fd = -1;
	}
	return from_bool(c, s);
}

static napi_value datagrams_dropped(struct call *c)
{
	struct datagrams *d = arg_handle(c, c->arg[0], KIND_DATAGRAMS);
	uint32_t number, words[MEMINFO_WORDS] = {};
	socklen_t size = sizeof(words);

	if (!d || !arg_socket(c, c->arg[1], &number))
		return NULL;
	struct udp_socket *s = socket_of(d, number);

	if (!s || getsockopt(s->fd, SOL_SOCKET, SO_MEMINFO, words, &size))
		return throw_errno(c, s ? errno : EBADF, "socket %u", number);
	return from_number(c, words[MEMINFO_DROPS]);
}

static void on_readable(struct watch *w, void *context)
{
	(void)context;
	watch_call(w, 0, NULL);
}

static napi_value datagrams_watch(struct call *c)
{
	struct datagrams *d = arg_handle(c, c->arg[0], KIND_DATAGRAMS);

	if (!d || !arg_function(c, c->arg[1], "callback"))
		return NULL;
	if (d->watch)
		return throw_errno(c, EALREADY, "these datagrams are already watched");
	d->watch = watch_start(c, d->epoll, false, c->arg[1], on_readable, NULL);
	return NULL;
}

static napi_value datagrams_close(struct call *c)
{
	struct datagrams *d = arg_handle_any(c, c->arg[0], KIND_DATAGRAMS);

	if (d)
		release(d);
	return NULL;
}

const struct export datagram_exports[] = {
	{ "datagramsOpen", datagrams_open },
	{ "datagramsBind", datagrams_bind },
	{ "datagramsAdopt", datagrams_adopt },
	{ "datagramsConnect", datagrams_connect },
	{ "datagramsRemove", datagrams_remove },
	{ "datagramsDropped", datagrams_dropped },
	{ "datagramsReceive", datagrams_receive },
	{ "datagramsSend", datagrams_send },
	{ "datagramsWatch", datagrams_watch },
	{ "datagramsClose", datagrams_close },
	{},
};
