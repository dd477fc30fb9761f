// SPDX-License-Identifier: Apache-2.0
// Datagrams in and out, a batch at a time.
#define _GNU_SOURCE
#include "datagram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static size_t padded(size_t length)
{
	return (length + 7) & ~(size_t)7;
}

static void write_peer(struct record *r, const union address *from)
{
	r->port = ntohs(from->v4.sin_port);
	r->family = from->any.sa_family == AF_INET ? 4 : 6;
	if (r->family == 4)
		memcpy(r->address, &from->v4.sin_addr, 4);
	else
		memcpy(r->address, &from->v6.sin6_addr, 16);
}

/** What one receive brings in: BATCH at most, from the sockets that have something, each in turn. */
struct harvest {
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	union address from[BATCH];
	struct record records[BATCH];
	int count;
	size_t bytes;
};

static void gather(struct datagrams *d, struct udp_socket *s, struct harvest *h)
{
	int room = BATCH - h->count, got;

	for (int i = h->count; i < BATCH; i++) {
		h->parts[i] = (struct iovec){ d->scratch + (size_t)i * MAX_PAYLOAD, MAX_PAYLOAD };
		h->messages[i].msg_hdr = (struct msghdr){
			.msg_name = s->connected ? NULL : &h->from[i],
			.msg_namelen = s->connected ? 0 : sizeof(h->from[i]),
			.msg_iov = &h->parts[i],
			.msg_iovlen = 1,
		};
	}
	got = recvmmsg(s->fd, h->messages + h->count, (unsigned)room, MSG_DONTWAIT, NULL);
	if (got < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		h->records[h->count++] = (struct record){ .socket = s->number, .error = (uint32_t)errno };
		h->bytes += sizeof(struct record);
		return;
	}
	for (int i = h->count; i < h->count + got; i++) {
		h->records[i] = (struct record){ .length = h->messages[i].msg_len, .socket = s->number };
		if (!s->connected)
			write_peer(&h->records[i], &h->from[i]);
		h->bytes += sizeof(struct record) + padded(h->messages[i].msg_len);
	}
	h->count += got;
}

napi_value datagrams_receive(struct call *c)
{
	struct datagrams *d = arg_handle(c, c->arg[0], KIND_DATAGRAMS);
	struct epoll_event ready[BATCH];
	struct harvest h;
	napi_value out;
	void *memory;

	if (!d)
		return NULL;
	h.count = 0;
	h.bytes = 0;
	int count = epoll_wait(d->epoll, ready, BATCH, 0);

	for (int i = 0; i < count && h.count < BATCH; i++) {
		struct udp_socket *s = socket_of(d, ready[i].data.u32);

		if (s)
			gather(d, s, &h);
	}
	if (napi_create_buffer(c->env, h.bytes, &memory, &out) != napi_ok)
		return throw_errno(c, ENOMEM, "%zu bytes", h.bytes);
	uint8_t *at = memory;

	for (int i = 0; i < h.count; i++) {
		size_t length = h.records[i].length;

		memcpy(at, &h.records[i], sizeof(struct record));
		at += sizeof(struct record);
		memcpy(at, d->scratch + (size_t)i * MAX_PAYLOAD, length);
		memset(at + length, 0, padded(length) - length);
		at += padded(length);
	}
	return out;
}

/** Sends the first `count` messages and writes {socket, errno} of each that failed. */
static size_t dispatch(struct udp_socket *s, struct mmsghdr *messages, unsigned count, uint32_t (*failed)[2])
{
	size_t failures = 0;

	for (unsigned done = 0; done < count;) {
		int sent = sendmmsg(s->fd, messages + done, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			done += (unsigned)sent;
		} else if (errno != EINTR) {
			failed[failures][0] = s->number;
			failed[failures++][1] = (uint32_t)errno;
			done++;
		}
	}
	return failures;
}

static socklen_t read_peer(const struct record *r, union address *to)
{
	memset(to, 0, sizeof(*to));
	if (r->family == 4) {
		to->v4.sin_family = AF_INET;
		memcpy(&to->v4.sin_addr, r->address, 4);
	} else {
		to->v6.sin6_family = AF_INET6;
		memcpy(&to->v6.sin6_addr, r->address, 16);
	}
	to->v4.sin_port = htons(r->port);
	return r->family == 4 ? sizeof(to->v4) : sizeof(to->v6);
}

/** The record at `at`, and where the next is; false when it runs past the end. */
static bool read_record(const uint8_t *data, size_t length, size_t *at, struct record *r, const uint8_t **payload)
{
	if (length - *at < sizeof(*r))
		return false;
	memcpy(r, data + *at, sizeof(*r));
	*at += sizeof(*r);
	if (r->length > length - *at || padded(r->length) > length - *at)
		return false;
	*payload = data + *at;
	*at += padded(r->length);
	return true;
}

napi_value datagrams_send(struct call *c)
{
	struct datagrams *d = arg_handle(c, c->arg[0], KIND_DATAGRAMS);
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	union address to[BATCH];
	uint32_t(*failed)[2];
	size_t length, at = 0, failures = 0;
	struct udp_socket *s = NULL;
	unsigned count = 0;
	uint8_t *data;

	if (!d || !arg_bytes(c, c->arg[1], "datagrams", &data, &length))
		return NULL;
	failed = malloc(length / sizeof(struct record) * sizeof(*failed) + 1);
	if (!failed)
		return throw_errno(c, ENOMEM, "%zu bytes", length);
	while (at < length) {
		const uint8_t *payload;
		struct record r;
		size_t start = at;

		if (!read_record(data, length, &at, &r, &payload)) {
			free(failed);
			return throw_type(c, "the datagram at byte %zu runs past its batch", start);
		}
		if (s && (s->number != r.socket || count == BATCH)) {
			failures += dispatch(s, messages, count, failed + failures);
			count = 0;
		}
		s = socket_of(d, r.socket);
		if (!s || (!s->connected && r.family != 4 && r.family != 6)) {
			failed[failures][0] = r.socket;
			failed[failures++][1] = s ? EDESTADDRREQ : EBADF;
			s = count ? s : NULL;
			continue;
		}
		parts[count] = (struct iovec){ (void *)payload, r.length };
		messages[count].msg_hdr = (struct msghdr){ .msg_iov = &parts[count], .msg_iovlen = 1 };
		if (!s->connected) {
			messages[count].msg_hdr.msg_namelen = read_peer(&r, &to[count]);
			messages[count].msg_hdr.msg_name = &to[count];
		}
		count++;
	}
	if (s && count)
		failures += dispatch(s, messages, count, failed + failures);
	napi_value out = failures ? from_bytes(c, failed, failures * sizeof(*failed)) : null_value(c);

	free(failed);
	return out;
}
