/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A host and port as HTTP and TLS write it, read as src/wire/authority.ts reads it: a name in policy form, an
 * address in its one strict spelling, or a fault. One pass over the text, its state in the socket's storage: results
 * must not pass through a bpf_loop callback's stack (Linux 6.1).
 */
#ifndef ACYCLIC_AUTHORITY_H
#define ACYCLIC_AUTHORITY_H

#include "maps.bpf.h"

enum authority_kind {
	AUTHORITY_UNREAD = 0,
	AUTHORITY_NOBODY = 1,
	AUTHORITY_NAME = 2,
	AUTHORITY_ADDRESS = 3,
	AUTHORITY_FAULT = 4,
};

#define MAX_LABEL 63
#define MAX_KEY_NAME (NAME_KEY_SIZE - 1)

/* Where a text is: a name or IPv4 address, an IPv6 address in brackets, after it, a port. */
enum text_part {
	PART_HOST = 0,
	PART_BRACKETED = 1,
	PART_AFTER = 2,
	PART_PORT = 3,
};

/* How a text is being read. It lies in the socket's storage over the window, which is not needed meanwhile. */
struct text_scan {
	__u32 at;
	__u32 port;
	__u32 label;
	__u32 value;
	__u32 hex;
	__u8 part;
	__u8 fault;
	/* Of the label so far: digits alone; `0x` and hexadecimal digits alone; its last is a hyphen. */
	__u8 digits;
	__u8 hexadecimal;
	__u8 hyphen;
	/* The same of the label before, for a text that ends in a dot. */
	__u8 last_number;
	__u8 dotted;
	__u8 octets;
	__u8 strict;
	__u8 port_digits;
	/* IPv6: groups written, where `::` was (its group, and one), digits in the group, colons in a row. */
	__u8 groups;
	__u8 gap;
	__u8 group_digits;
	__u8 colons;
	__u8 v4_octets;
	__u8 v4_strict;
	__u8 leading_zero;
	__u8 pad;
	__u8 address[16];
};

_Static_assert(sizeof(struct text_scan) <= WINDOW_SIZE, "a text is read over the window");

struct text_context {
	struct authority *authority;
	struct text_scan *scan;
	__u32 with_port;
};

static __always_inline int is_digit(__u8 byte)
{
	return byte >= '0' && byte <= '9';
}

static __always_inline __u8 to_lower(__u8 byte)
{
	return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static __always_inline int hex_value(__u8 lower)
{
	return is_digit(lower) ? lower - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* What an address in figures may not be: an octet over 255, or one that begins with a needless 0. */
static __always_inline void end_label(struct text_scan *s)
{
	s->last_number = s->digits || s->hexadecimal;
	if (!s->label || s->label > MAX_LABEL || s->hyphen)
		s->fault = 1;
	if (!s->digits || s->label > 3 || s->value > 255 || (s->leading_zero && s->label > 1))
		s->strict = 0;
	s->address[12 + (s->octets & 3)] = s->value;
	s->octets = s->octets < 5 ? s->octets + 1 : 5;
	s->label = 0;
	s->value = 0;
	s->digits = 1;
	s->hexadecimal = 0;
	s->hyphen = 0;
	s->leading_zero = 0;
}

static __always_inline void host_byte(struct text_scan *s, __u8 lower)
{
	if (lower == '.') {
		// An address has no dot after it.
		s->dotted = 1;
		end_label(s);
		return;
	}
	s->dotted = 0;
	if (!(is_digit(lower) || (lower >= 'a' && lower <= 'z') || lower == '_' || (lower == '-' && s->label)))
		s->fault = 1;
	if (s->label == 0)
		s->leading_zero = lower == '0';
	s->hexadecimal = s->label == 1 ? s->leading_zero && lower == 'x'
		       : s->label > 1 ? s->hexadecimal && hex_value(lower) >= 0
				      : 0;
	if (!is_digit(lower))
		s->digits = 0;
	else if (s->value < 1000)
		s->value = s->value * 10 + lower - '0';
	s->hyphen = lower == '-';
	if (s->label < 0xffff)
		s->label++;
}

static __always_inline void put_group(struct text_scan *s)
{
	__u32 at = s->groups & 7;

	if (s->groups >= 8) {
		s->fault = 1;
		return;
	}
	s->address[at * 2] = s->hex >> 8;
	s->address[at * 2 + 1] = s->hex & 0xff;
	s->groups++;
}

/* An octet of the IPv4 address an IPv6 one may end in. */
static __always_inline void put_octet(struct text_scan *s)
{
	__u32 at = (s->groups * 2 + s->v4_octets) & 15;

	if (!s->group_digits || s->group_digits > 3 || s->value > 255 || !s->digits ||
	    (s->leading_zero && s->group_digits > 1) || s->groups > 6 || s->v4_octets > 3) {
		s->fault = 1;
		return;
	}
	s->address[at] = s->value;
	s->v4_octets++;
}

static __always_inline void begin_group(struct text_scan *s)
{
	s->group_digits = 0;
	s->hex = 0;
	s->value = 0;
	s->digits = 1;
	s->leading_zero = 0;
}

static __always_inline void bracketed_byte(struct text_scan *s, __u8 lower)
{
	int hex = hex_value(lower);

	if (lower == ':') {
		if (s->v4_octets)
			s->fault = 1;
		if (s->group_digits)
			put_group(s);
		else if (s->colons == 1 && !s->gap)
			s->gap = s->groups + 1;
		else if (s->colons || s->at > 2)
			s->fault = 1;
		s->colons++;
		begin_group(s);
		return;
	}
	// One colon, and no group before it: only `::` begins so.
	if (s->colons == 1 && !s->groups)
		s->fault = 1;
	s->colons = 0;
	if (lower == '.') {
		put_octet(s);
		begin_group(s);
		return;
	}
	if (hex < 0 || s->group_digits > 3) {
		s->fault = 1;
		return;
	}
	if (!s->group_digits)
		s->leading_zero = lower == '0';
	s->group_digits++;
	s->hex = s->hex << 4 | hex;
	if (is_digit(lower))
		s->value = s->value * 10 + lower - '0';
	else
		s->digits = 0;
}

static __always_inline void end_bracketed(struct text_scan *s)
{
	if (s->v4_octets) {
		put_octet(s);
		if (s->v4_octets != 4)
			s->fault = 1;
		s->groups += 2;
	} else if (s->group_digits) {
		put_group(s);
	} else if (s->colons != 2) {
		s->fault = 1;
	}
	if (s->gap ? s->groups > 7 : s->groups != 8)
		s->fault = 1;
}

static long text_byte(__u32 i, struct text_context *context)
{
	struct authority *a = context->authority;
	struct text_scan *s = context->scan;
	__u8 lower;

	if (s->at >= a->length)
		return 1;
	lower = to_lower(a->text[s->at & (TEXT_SIZE - 1)]);
	a->text[s->at & (TEXT_SIZE - 1)] = lower;
	s->at++;
	if (s->part == PART_HOST) {
		if (lower == '[' && s->at == 1 && context->with_port)
			s->part = PART_BRACKETED;
		else if (lower == ':' && context->with_port)
			s->part = PART_PORT;
		else
			host_byte(s, lower);
		if (s->part == PART_HOST)
			a->name_length = s->at;
	} else if (s->part == PART_BRACKETED) {
		if (lower == ']')
			s->part = PART_AFTER;
		else
			bracketed_byte(s, lower);
	} else if (s->part == PART_AFTER) {
		if (lower != ':')
			s->fault = 1;
		s->part = PART_PORT;
	} else {
		if (!is_digit(lower) || (!s->port_digits && lower == '0') || s->port_digits > 4)
			s->fault = 1;
		else
			s->port = s->port * 10 + lower - '0';
		s->port_digits++;
	}
	return s->fault != 0;
}

/* Moves the groups after `::` to the end, zeroes between. */
static __always_inline void close_gap(struct text_scan *s, __u8 *address)
{
	__u32 gap = (s->gap - 1) & 7, tail = s->groups - gap, shift = 8 - s->groups;

	for (__u32 i = 0; i < 8; i++) {
		__u32 from = i < gap ? i : i < gap + shift ? 8 : i - shift;

		if (from > 7 || tail > 8) {
			address[i * 2] = 0;
			address[i * 2 + 1] = 0;
		} else {
			address[i * 2] = s->address[(from & 7) * 2];
			address[i * 2 + 1] = s->address[(from & 7) * 2 + 1];
		}
	}
}

/* Reads the text: its kind says what it is. */
static __always_inline void read_authority(struct authority *a, void *room, __u32 with_port)
{
	struct text_scan *s = room;
	struct text_context context = {.authority = a, .scan = s, .with_port = with_port};
	__u64 *words = (void *)a->address;

	a->kind = AUTHORITY_FAULT;
	if (a->too_long || a->length > TEXT_SIZE || (!a->length && !with_port))
		return;
	if (!a->length) {
		a->kind = AUTHORITY_NOBODY;
		return;
	}
	__builtin_memset(s, 0, sizeof(*s));
	s->digits = 1;
	s->strict = 1;
	a->name_length = 0;
	bpf_loop(TEXT_SIZE, text_byte, &context, 0);
	if (s->fault || s->port > 65535 || s->part == PART_BRACKETED)
		return;
	a->port = s->port;
	if (a->text[0] == '[' && with_port) {
		end_bracketed(s);
		if (s->fault)
			return;
		if (s->gap)
			close_gap(s, a->address);
		else
			__builtin_memcpy(a->address, s->address, 16);
		a->kind = AUTHORITY_ADDRESS;
		return;
	}
	if (!s->dotted)
		end_label(s);
	if (s->fault)
		return;
	if (s->last_number) {
		if (!s->strict || s->octets != 4 || s->dotted)
			return;
		words[0] = 0;
		words[1] = 0;
		a->address[10] = 0xff;
		a->address[11] = 0xff;
		__builtin_memcpy(a->address + 12, s->address + 12, 4);
		a->kind = AUTHORITY_ADDRESS;
		return;
	}
	if (s->dotted)
		a->name_length--;
	if (a->name_length && a->name_length <= MAX_KEY_NAME)
		a->kind = AUTHORITY_NAME;
}

struct reversal {
	const struct authority *authority;
	struct opening *opening;
};

/* FNV-1a, to tell one denial from another; nothing rests on it. */
#define HASH_PRIME 0x100000001b3ull

static long reverse_byte(__u32 i, struct reversal *reversal)
{
	const struct authority *a = reversal->authority;
	struct opening *o = reversal->opening;
	__u32 from = a->name_length - 1 - i;
	__u8 byte;

	if (i >= a->name_length || i >= NAME_KEY_SIZE)
		return 1;
	byte = a->text[from & (TEXT_SIZE - 1)];
	o->key.name[i] = byte;
	o->chain.name[i] = byte;
	o->name_hash = (o->name_hash ^ byte) * HASH_PRIME;
	return 0;
}

/* Lays a name out as keys have it. Their names are zero before. */
static __always_inline void reverse_name(const struct authority *authority, struct opening *opening)
{
	struct reversal reversal = {.authority = authority, .opening = opening};

	bpf_loop(NAME_KEY_SIZE, reverse_byte, &reversal, 0);
}

#endif
