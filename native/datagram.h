// SPDX-License-Identifier: Apache-2.0
// UDP sockets in sets: what waits in all of them leaves in one Buffer, and what goes out comes in one.
//
// A datagram is a record, both ways: struct record, then its bytes, padded to 8. Sockets have numbers that are
// not used again, so that a record read before its socket was removed cannot be taken for another's.
#pragma once

#include "acyclic.h"

#include <netinet/in.h>

enum {
	MAX_SOCKETS = 1024,
	/** Datagrams of one call of the kernel, and of one Buffer. */
	BATCH = 64,
	/** No payload of a datagram is longer. */
	MAX_PAYLOAD = 65536,
};

struct record {
	/** Of the bytes that follow; 0 with `error`. */
	uint32_t length;
	uint32_t socket;
	uint16_t port;
	/** 4 or 6, or 0: the socket is connected. */
	uint8_t family;
	uint8_t unused;
	/** A positive errno: what the socket has to say instead of a datagram. */
	uint32_t error;
	/** Network order; IPv4 in the first four bytes. */
	uint8_t address[16];
};

struct udp_socket {
	uint32_t number;
	int fd;
	bool connected;
};

struct datagrams {
	struct handle handle;
	int epoll;
	uint32_t last;
	/** A socket's place is its number modulo the size; -1 is no descriptor. */
	struct udp_socket sockets[MAX_SOCKETS];
	/** BATCH payloads, touched as they are used. */
	uint8_t *scratch;
	struct watch *watch;
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/** The socket of that number; NULL when it was removed. */
struct udp_socket *socket_of(struct datagrams *d, uint32_t number);

napi_value datagrams_receive(struct call *c);
napi_value datagrams_send(struct call *c);
