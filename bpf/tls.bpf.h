/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A TLS ClientHello (RFC 8446 §4.1.2, RFC 6066 §3), over as many as MAX_PIECES records, read as src/wire/tls.ts reads
 * it. It is looked at only when all of it is there, by offset.
 */
#ifndef ACYCLIC_TLS_H
#define ACYCLIC_TLS_H

#include "authority.bpf.h"

#define TLS_CHANGE_CIPHER_SPEC 0x14
#define TLS_ALERT 0x15
#define TLS_HANDSHAKE 0x16
#define TLS_RECORD_HEADER 5
#define TLS_MESSAGE_HEADER 4
#define TLS_MAX_SKIPPED 2
#define TLS_MAX_FRAGMENT 0x4000
#define TLS_FIXED_PART 34
#define MAX_OPENING 16384

enum tls_end {
	/* `need` says how many bytes of the stream are wanted. */
	TLS_INCOMPLETE = 0,
	TLS_OTHER = 1,
	TLS_UNREADABLE = 2,
	TLS_HELLO = 3,
};

/* How a hello is being read; it lies in the socket's storage over the window. Offsets are into the message. */
struct tls_scan {
	__u32 need;
	__u32 have;
	__u32 want;
	__u32 at;
	/* Of the body: where extensions end, and the one that is looked at. */
	__u32 body;
	__u32 extension;
	__u32 name_at;
	__u32 name_length;
	__u32 copied;
	__u8 is_tls;
	__u8 end;
	__u8 named;
	__u8 ech;
};

_Static_assert(sizeof(struct tls_scan) <= WINDOW_SIZE, "a hello is read over the window");

struct tls_context {
	struct opening *opening;
	struct tls_scan *scan;
};

static __always_inline int load_stream(const struct opening *o, __u32 at, void *to, __u32 length)
{
	if (at < o->start || at + length > o->size)
		return -1;
	return bpf_probe_read_kernel(to, length, (void *)(long)(o->data + at - o->start));
}

static __always_inline void refuse_hello(struct tls_scan *s)
{
	s->end = s->is_tls ? TLS_UNREADABLE : TLS_OTHER;
}

static __always_inline void want_more(struct tls_scan *s, __u32 need)
{
	if (need > MAX_OPENING)
		refuse_hello(s);
	else
		s->need = need;
}

/* Where a byte of the message is in the stream; past the end, past the stream. */
static __always_inline __u32 message_at(const struct opening *o, __u32 at)
{
	for (int i = 0; i < MAX_PIECES; i++) {
		if (i >= o->pieces)
			break;
		if (at < o->piece[i].length)
			return o->piece[i].start + at;
		at -= o->piece[i].length;
	}
	return (__u32)-1 >> 1;
}

static __always_inline int message_byte(const struct opening *o, __u32 at)
{
	__u8 byte;

	return load_stream(o, o->pieces == 1 ? o->piece[0].start + at : message_at(o, at), &byte, 1) ? -1 : byte;
}

static __always_inline int message_u16(const struct opening *o, __u32 at)
{
	int high, low;
	__u16 both;

	if (o->pieces == 1)
		return load_stream(o, o->piece[0].start + at, &both, 2) ? -1 : bpf_ntohs(both);
	high = message_byte(o, at);
	low = message_byte(o, at + 1);
	return high < 0 || low < 0 ? -1 : high << 8 | low;
}

/* One record, and whether the message is whole with it. */
static long take_record(__u32 i, struct tls_context *context)
{
	struct opening *o = context->opening;
	struct tls_scan *s = context->scan;
	__u32 start = s->at + TLS_RECORD_HEADER, length, piece, in_record;
	__u8 header[TLS_RECORD_HEADER];
	int type, top, low;

	if (o->size < start) {
		want_more(s, start);
		return 1;
	}
	if (load_stream(o, s->at, header, sizeof(header)) || i >= MAX_PIECES) {
		refuse_hello(s);
		return 1;
	}
	length = header[3] << 8 | header[4];
	if (header[0] != TLS_HANDSHAKE || length > TLS_MAX_FRAGMENT) {
		refuse_hello(s);
		return 1;
	}
	piece = o->size - start < length ? o->size - start : length;
	o->piece[i & (MAX_PIECES - 1)].start = start;
	o->piece[i & (MAX_PIECES - 1)].length = piece;
	o->pieces = i + 1;
	s->have += piece;
	if (s->want == TLS_MESSAGE_HEADER && s->have >= TLS_MESSAGE_HEADER) {
		type = message_byte(o, 0);
		top = message_byte(o, 1);
		low = message_u16(o, 2);
		if (type != 1 || top < 0 || low < 0) {
			refuse_hello(s);
			return 1;
		}
		if (!top)
			s->is_tls = 1;
		s->want += top << 16 | low;
		if (s->want + TLS_RECORD_HEADER > MAX_OPENING) {
			refuse_hello(s);
			return 1;
		}
	}
	if (s->have >= s->want) {
		s->end = TLS_HELLO;
		return 1;
	}
	s->at = start + length;
	if (o->size >= s->at)
		return 0;
	in_record = o->size + s->want - s->have;
	want_more(s, in_record <= s->at ? in_record : s->at + TLS_RECORD_HEADER);
	return 1;
}

/* Where the vector (RFC 8446 §3.4) at `at` of the body ends, its length in `size` bytes; -1 past the end. */
static __always_inline int vector_end(const struct opening *o, const struct tls_scan *s, int at, int size, int limit)
{
	int start = at + size, length, end;

	if (at < 0 || start > limit)
		return -1;
	length = size == 1 ? message_byte(o, TLS_MESSAGE_HEADER + at) : message_u16(o, TLS_MESSAGE_HEADER + at);
	end = start + length;
	return length < 0 || end > limit ? -1 : end;
}

/* One extension. */
static long take_extension(__u32 i, struct tls_context *context)
{
	struct opening *o = context->opening;
	struct tls_scan *s = context->scan;
	int at = s->extension, end, type, list;

	if (at >= (int)s->body)
		return 1;
	end = vector_end(o, s, at + 2, 2, s->body);
	type = message_u16(o, TLS_MESSAGE_HEADER + at);
	if (end < 0 || type < 0) {
		s->end = TLS_UNREADABLE;
		return 1;
	}
	if ((type >= 0xfe08 && type <= 0xfe0d) || type == 0xffce)
		s->ech = 1;
	s->extension = end;
	if (type)
		return 0;
	// One entry, of type host_name.
	list = at + 4;
	if (s->named || vector_end(o, s, list, 2, end) != end || vector_end(o, s, list + 3, 2, end) != end ||
	    message_byte(o, TLS_MESSAGE_HEADER + list + 2) != 0) {
		s->end = TLS_UNREADABLE;
		return 1;
	}
	s->named = 1;
	s->name_at = TLS_MESSAGE_HEADER + list + 5;
	s->name_length = end - list - 5;
	return 0;
}

static long copy_name(__u32 i, struct tls_context *context)
{
	struct opening *o = context->opening;
	struct tls_scan *s = context->scan;
	int byte;

	if (i >= s->name_length || i >= TEXT_SIZE)
		return 1;
	byte = message_byte(o, s->name_at + i);
	if (byte < 0)
		return 1;
	o->target.text[i] = byte;
	o->target.length = i + 1;
	return 0;
}

static __always_inline void read_name(struct opening *o, struct tls_context *context)
{
	struct tls_scan *s = context->scan;
	__u32 length = s->name_length;

	if (length > NAME_SIZE) {
		o->target.too_long = 1;
	} else if (o->pieces == 1 && length) {
		barrier_var(length);
		if (length > NAME_SIZE || load_stream(o, o->piece[0].start + s->name_at, o->target.text, length)) {
			s->end = TLS_UNREADABLE;
			return;
		}
		o->target.length = length;
	} else {
		bpf_loop(NAME_SIZE, copy_name, context, 0);
	}
}

/* Reads the body: s->end says whether it could be. */
static __always_inline void read_hello(struct opening *o, struct tls_context *context)
{
	struct tls_scan *s = context->scan;
	int limit = s->want - TLS_MESSAGE_HEADER, session, suites, compression;

	session = vector_end(o, s, TLS_FIXED_PART, 1, limit);
	suites = vector_end(o, s, session, 2, limit);
	compression = vector_end(o, s, suites, 1, limit);
	s->end = TLS_UNREADABLE;
	if (session < 0 || suites < 0 || compression < 0 || session - TLS_FIXED_PART > 33 || suites - session <= 2 ||
	    (suites - session) & 1 || compression == suites + 1)
		return;
	s->body = limit;
	s->end = TLS_HELLO;
	if (compression == limit)
		return;
	if (vector_end(o, s, compression, 2, limit) != limit) {
		s->end = TLS_UNREADABLE;
		return;
	}
	s->extension = compression + 2;
	bpf_loop(MAX_OPENING / 4, take_extension, context, 0);
	if (s->end == TLS_HELLO && s->named)
		read_name(o, context);
}

/*
 * Reads what there is from the stream's first byte, which is that of a record. Whom it names is in `target`, read.
 */
static __always_inline enum tls_end read_tls(struct opening *o, __u32 *need)
{
	struct tls_scan *s = (void *)o->window;
	struct tls_context context = {.opening = o, .scan = s};
	__u8 start[2] = {};
	enum tls_end end;

	__builtin_memset(s, 0, sizeof(*s));
	o->pieces = 0;
	o->target.length = 0;
	if (load_stream(o, 0, start, 2)) {
		*need = 2;
		return TLS_INCOMPLETE;
	}
	s->is_tls = start[1] == 3;
	s->want = TLS_MESSAGE_HEADER;
	bpf_loop(MAX_PIECES + 1, take_record, &context, 0);
	if (s->end == TLS_HELLO)
		read_hello(o, &context);
	*need = s->need;
	end = s->end;
	o->says = SAYS_TLS | (s->ech ? SAYS_ENCRYPTED : 0);
	if (end != TLS_HELLO || !s->named)
		return end;
	read_authority(&o->target, o->window, 0);
	return o->target.kind == AUTHORITY_FAULT ? TLS_UNREADABLE : end;
}

#endif
