// SPDX-License-Identifier: Apache-2.0
// SOCK_DESTROY (sock_diag(7)): ends a socket whose packets are being dropped, so that its owner is told.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};

struct answer {
	struct nlmsghdr header;
	struct nlmsgerr error;
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

/** True when a socket was destroyed, false when there was none. */
static napi_value socket_destroy(struct call *c)
{
	struct request request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = SOCK_DESTROY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
	};
	struct answer answer = {};
	ssize_t got = -1;
	int fd, err = 0;

	if (!read_request(c, &request))
		return NULL;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return throw_errno(c, errno, "netlink");
	if (send(fd, &request, sizeof(request), 0) < 0 || (got = recv(fd, &answer, sizeof(answer), 0)) < 0)
		err = errno;
	close(fd);
	if (!err && (got < (ssize_t)sizeof(answer) || answer.header.nlmsg_type != NLMSG_ERROR))
		err = EPROTO;
	if (!err)
		err = -answer.error.error;
	if (err == ENOENT)
		return from_bool(c, false);
	return err ? throw_errno(c, err, "SOCK_DESTROY") : from_bool(c, true);
}

const struct export diag_exports[] = {
	{ "socketDestroy", socket_destroy },
	{},
};
