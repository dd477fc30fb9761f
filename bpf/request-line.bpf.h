/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The request line of an HTTP/1 request (RFC 9112 section 3), byte by byte as it comes. */
#ifndef ACYCLIC_REQUEST_LINE_H
#define ACYCLIC_REQUEST_LINE_H

#include "authority.bpf.h"

#define MAX_OPENING 16384
#define MAX_METHOD 64

enum http_phase {
	HTTP_START = 0,
	HTTP_METHOD = 1,
	HTTP_LINE = 2,
	HTTP_FIELD = 3,
	HTTP_FIELD_NAME = 4,
	HTTP_FIELD_VALUE = 5,
	/* How it ended. */
	HTTP_HEAD = 6,
	HTTP_OTHER = 7,
	HTTP_UNREADABLE = 8,
};

/* Of the request line, in opening.flags. */
enum line_flags {
	/* The method is of capitals, `_` and `-`; of letters, `_` and `-`; the gap after it is of spaces alone. */
	LINE_UPPER = 1,
	LINE_WORD = 2,
	LINE_SPACES = 4,
	/* It names a version, and so is HTTP; it is as HTTP/0.9 had it; it can hardly be anything else. */
	LINE_VERSION = 8,
	LINE_SIMPLE = 16,
	LINE_BEGINS = 32,
	LINE_NO_SIMPLE = 64,
};

/* Where in the strict form of a request line it is: method, target and version parted by single spaces. */
enum strict_at {
	STRICT_TARGET = 0,
	STRICT_VERSION = 1,
	STRICT_NOT = 2,
};

enum target_form {
	FORM_NONE = 0,
	FORM_ORIGIN = 1,
	FORM_ASTERISK = 2,
	FORM_SCHEME = 3,
	FORM_AUTHORITY = 4,
	FORM_AFTER = 5,
	FORM_FAULT = 6,
};

#define HTTP_WORD 0x2f50545448ull  /* "HTTP/", the first byte lowest */
#define RTSP_WORD 0x2f50535452ull
#define ICE_WORD 0x2f454349ull

static __always_inline int is_token(__u8 byte)
{
	if (byte <= ' ' || byte >= 0x7f)
		return 0;
	switch (byte) {
	case '"': case '(': case ')': case ',': case '/': case ':': case ';': case '<': case '=':
	case '>': case '?': case '@': case '[': case '\\': case ']': case '{': case '}':
		return 0;
	}
	return 1;
}

static __always_inline int is_letter(__u8 byte)
{
	return to_lower(byte) >= 'a' && to_lower(byte) <= 'z';
}

static __always_inline void put_text(struct authority *a, __u8 byte)
{
	if (a->length >= TEXT_SIZE) {
		a->too_long = 1;
		return;
	}
	a->text[a->length & (TEXT_SIZE - 1)] = byte;
	a->length++;
}

static __always_inline void method_byte(struct opening *o, __u8 byte)
{
	if (!o->count)
		o->flags = LINE_UPPER | LINE_WORD | LINE_SPACES;
	if (!((byte >= 'A' && byte <= 'Z') || byte == '_' || byte == '-'))
		o->flags &= ~LINE_UPPER;
	if (!(is_letter(byte) || byte == '_' || byte == '-'))
		o->flags &= ~LINE_WORD;
	if (o->count < 8)
		o->head[o->count & 7] = byte;
	o->count++;
}

/* Whether the method, whose first eight bytes are kept, is this one of seven letters, or three. */
static __always_inline int method_is(const struct opening *o, const char *word, __u32 length)
{
	for (__u32 i = 0; i < length; i++)
		if (o->head[i] != word[i])
			return 0;
	return o->count == length;
}

static __always_inline void end_method(struct opening *o, __u8 blank)
{
	o->connect = method_is(o, "CONNECT", 7) ? 1 : method_is(o, "OPTIONS", 7) ? 2 : method_is(o, "PRI", 3) ? 3 : 0;
	o->strict = o->count > MAX_METHOD || blank != ' ' ? STRICT_NOT : STRICT_TARGET;
	if (blank != ' ')
		o->flags &= ~LINE_SPACES;
	if (o->connect == 1 && blank == ' ')
		o->flags |= LINE_SIMPLE;
	o->gap = 1;
	o->count = 0;
	o->word = 1;
	o->word_at = 0;
	o->form = FORM_NONE;
	o->phase = HTTP_LINE;
}

/* [blank](HTTP|RTSP|ICE)/digit, in any case, makes a line HTTP's. word: 1 after a blank, else the word begun. */
static __always_inline void watch_version(struct opening *o, __u8 byte, int blank)
{
	__u8 lower = to_lower(byte);
	__u64 word;

	if (blank) {
		o->word = 1;
		o->word_at = 0;
		return;
	}
	if (!o->word)
		return;
	if (o->word == 1)
		o->word = lower == 'h' ? 2 : lower == 'r' ? 3 : lower == 'i' ? 4 : 0;
	word = o->word == 2 ? HTTP_WORD : o->word == 3 ? RTSP_WORD : ICE_WORD;
	if (o->word && o->word_at == (o->word == 4 ? 4 : 5)) {
		if (is_digit(byte))
			o->flags |= LINE_VERSION;
		o->word = 0;
	} else if (o->word && to_lower(word >> 8 * (o->word_at & 7) & 0xff) == lower) {
		o->word_at++;
	} else {
		o->word = 0;
	}
}

/* What tells an HTTP line by its beginning: a path or a URL after the method. */
static __always_inline void watch_beginning(struct opening *o, __u8 byte)
{
	if (o->gap) {
		// To CONNECT a tab is part of the target already.
		if (byte == ' ' && o->gap == 2)
			o->flags |= LINE_NO_SIMPLE;
		if (byte == '\t') {
			o->flags &= ~LINE_SPACES;
			o->gap = 2;
		}
		if (byte == ' ' || byte == '\t')
			return;
		if (byte == '/' && o->flags & LINE_WORD)
			o->flags |= LINE_BEGINS;
		if ((byte == '/' || byte == '*') && (o->flags & LINE_UPPER) && (o->flags & LINE_SPACES))
			o->flags |= LINE_SIMPLE;
		// Another protocol's CONNECT has an object for its target.
		if (o->connect == 1 && byte == '{' && o->gap == 1)
			o->flags &= ~LINE_SIMPLE;
		o->gap = 0;
		o->scheme_at = is_letter(byte) ? 1 : 0xff;
		return;
	}
	if (byte == ' ')
		o->flags |= LINE_NO_SIMPLE;
	// scheme_at: 1 letters alone, 2 with what schemes may have beside, 3 and 4 after `:` and `:/`.
	if (o->scheme_at == 1 || o->scheme_at == 2) {
		if (byte == ':')
			o->letters = o->scheme_at == 1, o->scheme_at = 3;
		else if (is_digit(byte) || byte == '+' || byte == '.' || byte == '-')
			o->scheme_at = 2;
		else if (!is_letter(byte))
			o->scheme_at = 0xff;
	} else if (o->scheme_at == 3 || o->scheme_at == 4) {
		if (byte != '/') {
			o->scheme_at = 0xff;
		} else if (o->scheme_at == 3) {
			o->scheme_at = 4;
		} else {
			o->scheme_at = 0xff;
			if (o->flags & LINE_WORD)
				o->flags |= LINE_BEGINS;
			if (o->letters && o->flags & LINE_UPPER && o->flags & LINE_SPACES)
				o->flags |= LINE_SIMPLE;
		}
	}
}

/* The target of a line in strict form. count: its bytes so far. scheme: its letters, the last lowest. */
static __always_inline void target_byte(struct opening *o, __u8 byte)
{
	__u8 lower = to_lower(byte);

	if (o->form == FORM_NONE) {
		o->form = o->connect == 1 ? FORM_AUTHORITY
			: byte == '/'     ? FORM_ORIGIN
			: byte == '*'     ? FORM_ASTERISK
			: is_letter(byte) ? FORM_SCHEME
					  : FORM_FAULT;
		o->scheme = 0;
		if (o->form == FORM_SCHEME)
			o->scheme = lower;
		if (o->form != FORM_AUTHORITY)
			return;
	} else if (o->form == FORM_ASTERISK) {
		o->form = FORM_FAULT;
		return;
	}
	if (o->form == FORM_SCHEME) {
		// `:`, `/` and `/` are kept with the scheme, so that it ends in all three.
		if ((o->scheme & 0xff) == ':' ? byte != '/'
		    : (o->scheme & 0xffff) == 0x3a2f
			    ? byte != '/'
			    : !(is_letter(byte) || is_digit(byte) || byte == '+' || byte == '.' || byte == '-' || byte == ':'))
			o->form = FORM_FAULT;
		// The longest that is known fills it, its `://` included.
		if (o->scheme >> 56)
			o->long_scheme = 1;
		o->scheme = o->scheme << 8 | lower;
		if (o->form == FORM_SCHEME && (o->scheme & 0xffffff) == 0x3a2f2f)
			o->form = FORM_AUTHORITY;
		return;
	}
	if (o->form != FORM_AUTHORITY)
		return;
	if (byte == '/' || byte == '?' || byte == '#')
		o->form = o->connect == 1 ? FORM_FAULT : FORM_AFTER;
	else
		put_text(&o->target, byte);
}

/* count: bytes of the version after its space, as HTTP/1.1 has them. */
static __always_inline void strict_byte(struct opening *o, __u8 byte, int blank)
{
	if (o->strict == STRICT_TARGET) {
		if (!blank) {
			target_byte(o, byte);
			o->count++;
		} else if (byte == ' ' && o->count) {
			o->strict = STRICT_VERSION;
			o->count = 0;
		} else {
			o->strict = STRICT_NOT;
		}
		return;
	}
	if (o->strict != STRICT_VERSION)
		return;
	if (o->count < 5 ? byte != (HTTP_WORD >> 8 * (o->count & 7) & 0xff)
	    : o->count == 6 ? byte != '.'
			    : o->count > 7 || !is_digit(byte))
		o->strict = STRICT_NOT;
	if (o->count == 5)
		o->version = byte << 4;
	if (o->count == 7)
		o->version |= byte & 0xf;
	o->count++;
}

static __always_inline __u16 scheme_port(const struct opening *o)
{
	if (o->long_scheme)
		return 0;
	switch (o->scheme >> 24) {
	case 0x68747470ull: /* http */
	case 0x7773ull:     /* ws */
		return 80;
	case 0x6874747073ull: /* https */
	case 0x777373ull:     /* wss */
		return 443;
	case 0x667470ull: /* ftp */
		return 21;
	}
	return 0;
}

static __always_inline int line_is_http(const struct opening *o)
{
	return o->flags & LINE_VERSION || (o->flags & LINE_SIMPLE && !(o->flags & LINE_NO_SIMPLE));
}

static __always_inline void end_line(struct opening *o)
{
	__u8 version = o->version;
	int whole = o->strict == STRICT_VERSION && o->count == 8;

	if (!line_is_http(o)) {
		o->phase = HTTP_OTHER;
		return;
	}
	// HTTP/2 without TLS begins with a line made not to be HTTP/1's (RFC 9113 §3.4).
	if (whole && o->connect == 3 && o->form == FORM_ASTERISK && version == ('2' << 4 & 0xf0)) {
		o->phase = HTTP_OTHER;
		return;
	}
	o->phase = HTTP_FIELD;
	if (!whole || (version != (('1' << 4 & 0xf0) | 1) && version != ('1' << 4 & 0xf0)) || o->form == FORM_NONE ||
	    o->form == FORM_SCHEME || o->form == FORM_FAULT || (o->form == FORM_ASTERISK && o->connect != 2))
		o->phase = HTTP_UNREADABLE;
}

static __always_inline void line_byte(struct opening *o, __u8 byte)
{
	int blank = byte == ' ' || (byte >= '\t' && byte <= '\r');

	watch_version(o, byte, blank);
	watch_beginning(o, byte);
	strict_byte(o, byte, blank);
}

#endif
