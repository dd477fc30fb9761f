/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The head of an HTTP/1 request (RFC 9112), byte by byte as it comes, read as src/wire/http.ts reads it. The state is
 * in the socket's storage, so a head may come in any pieces.
 */
#ifndef ACYCLIC_HTTP_H
#define ACYCLIC_HTTP_H

#include "request-line.bpf.h"

/* A control character where none may be. */
static __always_inline void misplaced(struct opening *o)
{
	o->phase = o->phase != HTTP_LINE || line_is_http(o) || o->flags & LINE_BEGINS ? HTTP_UNREADABLE : HTTP_OTHER;
}

static __always_inline void field_name_byte(struct opening *o, __u8 byte)
{
	__u8 lower = to_lower(byte);

	if (byte == ':') {
		o->word = o->count == 4 && o->word == 4;
		o->phase = !o->count || (o->word && o->host_seen) ? HTTP_UNREADABLE : HTTP_FIELD_VALUE;
		o->host_seen |= o->word;
		return;
	}
	if (!is_token(byte)) {
		o->phase = HTTP_UNREADABLE;
		return;
	}
	if (o->count < 4 && lower == (0x74736f68u >> 8 * (o->count & 3) & 0xff)) /* "host" */
		o->word++;
	o->count++;
}

static __always_inline void value_byte(struct opening *o, __u8 byte)
{
	if (!o->word)
		return;
	if (byte == ' ' || byte == '\t') {
		o->host.ended = o->host.length != 0;
		return;
	}
	// A blank within is in no host.
	if (o->host.ended)
		o->host.too_long = 1;
	put_text(&o->host, byte);
}

static __always_inline void http_byte(struct opening *o, __u8 byte)
{
	int control = byte < ' ' || byte == 0x7f;

	if (o->phase == HTTP_START) {
		if (byte == '\r' || byte == '\n')
			return;
		o->phase = HTTP_METHOD;
		o->count = 0;
	}
	if (o->phase == HTTP_METHOD) {
		if (o->count && (byte == ' ' || byte == '\t'))
			end_method(o, byte);
		else if (is_token(byte))
			method_byte(o, byte);
		else
			o->phase = HTTP_OTHER;
		return;
	}
	if (o->carriage && byte != '\n') {
		misplaced(o);
		return;
	}
	// After a bare LF some servers take another for the same end of line, others for that of the head.
	o->doubled = o->bare && byte == '\n';
	o->bare = byte == '\n' && o->phase == HTTP_LINE && !o->carriage;
	o->carriage = byte == '\r';
	if (byte == '\n') {
		if (o->phase == HTTP_LINE)
			end_line(o);
		else if (o->phase == HTTP_FIELD && !o->doubled)
			o->phase = HTTP_HEAD;
		else if (o->phase == HTTP_FIELD)
			return;
		else
			o->phase = o->phase == HTTP_FIELD_VALUE ? HTTP_FIELD : HTTP_UNREADABLE;
		return;
	}
	if (byte == '\r')
		return;
	if (o->phase == HTTP_LINE) {
		if (control && (byte < '\t' || byte > '\r'))
			misplaced(o);
		else
			line_byte(o, byte);
		return;
	}
	if (control && byte != '\t') {
		o->phase = HTTP_UNREADABLE;
		return;
	}
	if (o->phase == HTTP_FIELD) {
		// A line that begins with a blank would go on with the one before (RFC 9112 §5.2).
		o->phase = byte == ' ' || byte == '\t' ? HTTP_UNREADABLE : HTTP_FIELD_NAME;
		o->count = 0;
		o->word = 0;
	}
	if (o->phase == HTTP_FIELD_NAME)
		field_name_byte(o, byte);
	else if (o->phase == HTTP_FIELD_VALUE)
		value_byte(o, byte);
}

struct http_context {
	struct opening *opening;
};

static long http_step(__u32 i, struct http_context *context)
{
	struct opening *o = context->opening;
	__u32 at = o->position, room, shift;

	if (at >= o->size || at >= MAX_OPENING || o->phase >= HTTP_HEAD)
		return 1;
	if (at >= o->window_end) {
		room = o->size - at;
		if (room > WINDOW_SIZE)
			room = WINDOW_SIZE;
		barrier_var(room);
		if (room > WINDOW_SIZE ||
		    bpf_probe_read_kernel(o->window, room, (void *)(long)(o->data + at - o->start)))
			return 1;
		o->window_at = at;
		o->window_end = at + room;
	}
	shift = at - o->window_at;
	o->position = at + 1;
	http_byte(o, o->window[shift & (WINDOW_SIZE - 1)]);
	return 0;
}

/* Whether what there is can hardly be anything but HTTP, so that the rest may be waited for. */
static __always_inline int seems_http(const struct opening *o)
{
	if (o->phase >= HTTP_FIELD)
		return !o->doubled;
	return o->phase == HTTP_LINE && (o->flags & (LINE_BEGINS | LINE_VERSION) || o->connect == 1);
}

static __always_inline int same_authority(const struct authority *a, const struct authority *b)
{
	const __u64 *x = (const void *)a->address, *y = (const void *)b->address;

	if (a->kind != b->kind)
		return 0;
	if (a->kind == AUTHORITY_ADDRESS)
		return x[0] == y[0] && x[1] == y[1];
	return a->name_length == b->name_length;
}

struct comparison {
	const struct authority *a, *b;
	struct opening *opening;
};

static long compare_byte(__u32 i, struct comparison *comparison)
{
	if (i >= comparison->a->name_length)
		return 1;
	if (comparison->a->text[i & (TEXT_SIZE - 1)] == comparison->b->text[i & (TEXT_SIZE - 1)])
		return 0;
	comparison->opening->phase = HTTP_UNREADABLE;
	return 1;
}

static __always_inline void agree(struct opening *o)
{
	struct comparison comparison = {.a = &o->target, .b = &o->host, .opening = o};

	if (!same_authority(&o->target, &o->host) || (o->host.port && o->host.port != o->target.port)) {
		o->phase = HTTP_UNREADABLE;
		return;
	}
	if (o->target.kind == AUTHORITY_NAME)
		bpf_loop(TEXT_SIZE, compare_byte, &comparison, 0);
}

/* A head that has come whole: whom it names is then in `target` where there is one, else in `host`. */
static __always_inline void end_head(struct opening *o)
{
	int has_target = o->form == FORM_AUTHORITY || o->form == FORM_AFTER;

	o->window_end = 0;
	read_authority(&o->host, o->window, 1);
	if (o->host.kind == AUTHORITY_FAULT) {
		o->phase = HTTP_UNREADABLE;
		return;
	}
	o->says = SAYS_HTTP;
	if (!has_target) {
		o->target.kind = AUTHORITY_UNREAD;
		return;
	}
	o->says |= SAYS_PROXIED;
	read_authority(&o->target, o->window, 1);
	if (o->target.kind == AUTHORITY_FAULT || o->target.kind == AUTHORITY_NOBODY) {
		o->phase = HTTP_UNREADABLE;
		return;
	}
	if (!o->target.port)
		o->target.port = o->connect == 1 ? 0 : scheme_port(o);
	if (o->connect == 1 && !o->target.port)
		o->phase = HTTP_UNREADABLE;
	else if (o->host.kind != AUTHORITY_NOBODY)
		agree(o);
}

#endif
