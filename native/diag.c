// SPDX-License-Identifier: Apache-2.0
// SOCK_DESTROY (sock_diag(7)): ends a socket whose packets are being dropped, so that its owner is told.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};


static bool option_integer(struct call *c, const char *key, int64_t max, int64_t *out)
{
	napi_value value;

	return get_property(c, c->arg[0], key, &value) && arg_integer(c, value, key, 0, max, out);
}

static bool option_address(struct call *c, const char *key, int family, void *out)
{
	size_t length, wanted = family == AF_INET ? 4 : 16;
	uint8_t *data;
	napi_value value;

	if (!get_property(c, c->arg[0], key, &value) || !arg_bytes(c, value, key, &data, &length))
		return false;
	if (length != wanted) {
		throw_type(c, "%s must have %zu bytes", key, wanted);
		return false;
	}
	memcpy(out, data, length);
	return true;
}

static bool read_request(struct call *c, struct request *r)
{
	int64_t protocol, family, from, to;
	uint64_t cookie = 0;
	napi_value value;

	if (!arg_object(c, c->arg[0], "options") || !option_integer(c, "protocol", 255, &protocol) ||
	    !option_integer(c, "family", AF_MAX, &family) || !option_integer(c, "sourcePort", 65535, &from) ||
	    !option_integer(c, "destinationPort", 65535, &to))
		return false;
	if (family != AF_INET && family != AF_INET6) {
		throw_type(c, "family must be AF_INET or AF_INET6");
		return false;
	}
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) {
		throw_type(c, "protocol must be TCP or UDP");
		return false;
	}
	if (!option_address(c, "source", (int)family, r->diag.id.idiag_src) ||
	    !option_address(c, "destination", (int)family, r->diag.id.idiag_dst) ||
	    !get_property(c, c->arg[0], "cookie", &value))
		return false;
	bool any = is_nullish(c, value);

	if (!any && !arg_u64(c, value, "cookie", &cookie))
		return false;
	r->diag.sdiag_family = (uint8_t)family;
	r->diag.sdiag_protocol = (uint8_t)protocol;
	r->diag.idiag_states = UINT32_MAX;
	r->diag.id.idiag_sport = htons((uint16_t)from);
	r->diag.id.idiag_dport = htons((uint16_t)to);
	r->diag.id.idiag_cookie[0] = any ? INET_DIAG_NOCOOKIE : (uint32_t)cookie;
	r->diag.id.idiag_cookie[1] = any ? INET_DIAG_NOCOOKIE : (uint32_t)(cookie >> 32);
	return true;
}

/** 0, or a positive errno. `found`, unless NULL, takes the answer of a query. */
static int exchange(int fd, struct request *request, uint16_t type, struct inet_diag_msg *found)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[8192];
	} answer;
	ssize_t got;

	request->header = (struct nlmsghdr){ .nlmsg_len = sizeof(*request), .nlmsg_type = type,
					     .nlmsg_flags = NLM_F_REQUEST | (found ? 0 : NLM_F_ACK) };
	if (send(fd, request, sizeof(*request), 0) < 0)
		return errno;
	do
		got = recv(fd, &answer, sizeof(answer), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno;
	if (!NLMSG_OK(&answer.header, (uint32_t)got))
		return EPROTO;
	if (answer.header.nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(&answer.header);

		return NLMSG_PAYLOAD(&answer.header, 0) < sizeof(*error) ? EPROTO : -error->error;
	}
	if (!found || NLMSG_PAYLOAD(&answer.header, 0) < sizeof(*found))
		return EPROTO;
	memcpy(found, NLMSG_DATA(&answer.header), sizeof(*found));
	return 0;
}

// The kernel's look-up falls back to a listener on the source port, which must never be destroyed in the place
// of a connection that is gone. So a TCP socket is looked at first, and then named by its cookie.
static int destroy(int fd, struct request *request)
{
	struct inet_diag_sockid *id = &request->diag.id;
	struct inet_diag_msg found;
	int err;

	if (request->diag.sdiag_protocol == IPPROTO_TCP) {
		err = exchange(fd, request, SOCK_DIAG_BY_FAMILY, &found);
		if (err)
			return err;
		if (found.idiag_state == TCP_LISTEN || found.id.idiag_dport != id->idiag_dport)
			return ENOENT;
		memcpy(id->idiag_cookie, found.id.idiag_cookie, sizeof(id->idiag_cookie));
	}
	return exchange(fd, request, SOCK_DESTROY, NULL);
}

/** True when a socket was destroyed, false when there was none. */
static napi_value socket_destroy(struct call *c)
{
	struct request request = {};
	int fd, err;

	if (!read_request(c, &request))
		return NULL;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return throw_errno(c, errno, "netlink");
	err = destroy(fd, &request);
	close(fd);
	// ESTALE: the cookie is another socket's.
	if (!err || err == ENOENT || err == ESTALE)
		return from_bool(c, !err);
	return throw_errno(c, err, "SOCK_DESTROY");
}

const struct export diag_exports[] = {
	{ "socketDestroy", socket_destroy },
	{},
};
