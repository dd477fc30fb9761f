// SPDX-License-Identifier: Apache-2.0
// What a descriptor is a socket of, who is at the other end, and one word to systemd.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int option(int fd, int name)
{
	socklen_t size = sizeof(int);
	int value = -1;

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) ? -1 : value;
}

/** {address, port} of an inet address; null for any other. */
static napi_value from_address(struct call *c, const struct sockaddr_storage *storage)
{
	const struct sockaddr_in *v4 = (const void *)storage;
	const struct sockaddr_in6 *v6 = (const void *)storage;
	napi_value result;

	if (storage->ss_family != AF_INET && storage->ss_family != AF_INET6)
		return null_value(c);
	bool is_v4 = storage->ss_family == AF_INET;
	napi_value address = is_v4 ? from_bytes(c, &v4->sin_addr, 4) : from_bytes(c, &v6->sin6_addr, 16);

	result = new_object(c);
	if (set_property(c, result, "address", address) &&
	    set_property(c, result, "port", from_number(c, ntohs(is_v4 ? v4->sin_port : v6->sin6_port))))
		return result;
	return NULL;
}

static napi_value end_of(struct call *c, int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage storage = {};
	socklen_t size = sizeof(storage);

	if (get(fd, (struct sockaddr *)&storage, &size))
		return null_value(c);
	return from_address(c, &storage);
}

static napi_value info_of(struct call *c, int fd)
{
	napi_value result;
	int domain = option(fd, SO_DOMAIN);

	if (domain < 0)
		return null_value(c);
	result = new_object(c);
	if (set_property(c, result, "domain", from_number(c, domain)) &&
	    set_property(c, result, "type", from_number(c, option(fd, SO_TYPE))) &&
	    set_property(c, result, "protocol", from_number(c, option(fd, SO_PROTOCOL))) &&
	    set_property(c, result, "listening", from_bool(c, option(fd, SO_ACCEPTCONN) == 1)) &&
	    set_property(c, result, "local", end_of(c, fd, getsockname)) &&
	    set_property(c, result, "peer", end_of(c, fd, getpeername)))
		return result;
	return NULL;
}

static napi_value socket_info(struct call *c)
{
	int fd;

	return arg_fd(c, c->arg[0], "descriptor", &fd) ? info_of(c, fd) : NULL;
}

/** Of another process's descriptor; null where it is closed by then, or the process has ended. */
static napi_value socket_info_in(struct call *c)
{
	napi_value result;
	int64_t pid;
	int fd, pidfd, copy = -1, err;

	if (!arg_integer(c, c->arg[0], "pid", 1, INT32_MAX, &pid) || !arg_fd(c, c->arg[1], "descriptor", &fd))
		return NULL;
	pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (pidfd >= 0)
		copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	err = errno;
	if (pidfd >= 0)
		close(pidfd);
	if (copy < 0)
		return err == ESRCH || err == EBADF ? null_value(c)
						    : throw_errno(c, err, "descriptor %d of process %d", fd, (int)pid);
	result = info_of(c, copy);
	close(copy);
	return result;
}

/** Supplementary groups of the peer, an array of numbers. */
static napi_value peer_groups(struct call *c, int fd)
{
	// NGROUPS_MAX of them, at most.
	static gid_t groups[65536];
	socklen_t size = sizeof(groups);
	napi_value list, group;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
		return throw_errno(c, errno, "SO_PEERGROUPS of descriptor %d", fd);
	uint32_t count = size / sizeof(gid_t);

	if (napi_create_array_with_length(c->env, count, &list) != napi_ok)
		return NULL;
	for (uint32_t i = 0; i < count; i++) {
		group = from_number(c, groups[i]);
		if (!group || napi_set_element(c->env, list, i, group) != napi_ok)
			return NULL;
	}
	return list;
}

static napi_value peer_credentials(struct call *c)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	napi_value result;
	int fd;

	if (!arg_fd(c, c->arg[0], "descriptor", &fd))
		return NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return throw_errno(c, errno, "descriptor %d", fd);
	// What is no connected UNIX socket answers with nobody.
	if (peer.uid == (uid_t)-1)
		return throw_errno(c, ENOTCONN, "descriptor %d", fd);
	result = new_object(c);
	if (set_property(c, result, "pid", from_number(c, peer.pid)) &&
	    set_property(c, result, "uid", from_number(c, peer.uid)) &&
	    set_property(c, result, "gid", from_number(c, peer.gid)) &&
	    set_property(c, result, "groups", peer_groups(c, fd)))
		return result;
	return NULL;
}

static napi_value peer_pidfd(struct call *c)
{
	socklen_t size = sizeof(int);
	int fd, pidfd = -1;

	if (!arg_fd(c, c->arg[0], "descriptor", &fd))
		return NULL;
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size))
		return from_number(c, pidfd);
	return errno == ENOPROTOOPT ? null_value(c) : throw_errno(c, errno, "descriptor %d", fd);
}

static napi_value tell_systemd(struct call *c)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *path = NULL, *text = NULL;
	int fd, err = 0;

	if (!arg_string(c, c->arg[0], "socket", sizeof(address.sun_path) - 1, &path) ||
	    !arg_string(c, c->arg[1], "text", MAX_PATH_BYTES, &text))
		goto out;
	size_t length = strlen(path);

	if (length < 2 || (path[0] != '/' && path[0] != '@')) {
		throw_type(c, "socket must be a path, or @ and an abstract name");
		goto out;
	}
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	if (err)
		throw_errno(c, err, "%s", path);
out:
	free(path);
	free(text);
	return NULL;
}

static napi_value netns_cookie(struct call *c)
{
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return throw_errno(c, errno, "socket");
	err = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) ? errno : 0;
	close(fd);
	return err ? throw_errno(c, err, "SO_NETNS_COOKIE") : from_u64(c, cookie);
}

const struct export socket_exports[] = {
	{ "socketInfo", socket_info },
	{ "socketInfoIn", socket_info_in },
	{ "peerCredentials", peer_credentials },
	{ "peerPidfd", peer_pidfd },
	{ "tellSystemd", tell_systemd },
	{ "netnsCookie", netns_cookie },
	{},
};
