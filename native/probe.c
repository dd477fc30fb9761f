// SPDX-License-Identifier: Apache-2.0
// What `acyclic doctor` asks: whose programs a cgroup has, and what a connection costs.
#define _GNU_SOURCE
#include "acyclic.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PROGRAMS = 64, MAX_ATTACH_TYPE = 255, MAX_CONNECTS = 4096 };

/** The program's name, or an empty string when it is gone or may not be looked at. */
static napi_value program_name(struct call *c, uint32_t id)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return from_string(c, "");
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		info.name[0] = '\0';
	close(fd);
	return from_string(c, info.name);
}

static napi_value cgroup_programs(struct call *c)
{
	uint32_t ids[MAX_PROGRAMS], count = MAX_PROGRAMS, flags = 0;
	napi_value result, list;
	int64_t type;
	int cgroup;

	if (!arg_fd(c, c->arg[0], "cgroup", &cgroup) ||
	    !arg_integer(c, c->arg[1], "attach type", 0, MAX_ATTACH_TYPE, &type))
		return NULL;
	// ENOSPC: there are more, and these are the first.
	if (bpf_prog_query(cgroup, (enum bpf_attach_type)type, 0, &flags, ids, &count) && errno != ENOSPC)
		return throw_errno(c, errno, "attach type %d", (int)type);
	if (count > MAX_PROGRAMS)
		count = MAX_PROGRAMS;
	result = new_object(c);
	if (!result || napi_create_array_with_length(c->env, count, &list) != napi_ok)
		return NULL;
	for (uint32_t i = 0; i < count; i++) {
		napi_value entry = new_object(c);

		if (!set_property(c, entry, "id", from_number(c, ids[i])) ||
		    !set_property(c, entry, "name", program_name(c, ids[i])) ||
		    napi_set_element(c->env, list, i, entry) != napi_ok)
			return NULL;
	}
	return set_property(c, result, "flags", from_number(c, flags)) &&
			       set_property(c, result, "programs", list) ?
		       result :
		       NULL;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/** Nanoseconds of one socket, connect and close; -1 with errno. A call that hangs ends after a second. */
static int64_t time_connect(const struct sockaddr_in *to)
{
	struct timeval patience = { .tv_sec = 1 };
	int64_t start = now_ns();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (const void *)to, sizeof(*to)))
		err = errno;
	close(fd);
	errno = err;
	return err ? -1 : now_ns() - start;
}

static napi_value connect_times(struct call *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int64_t port, count;
	napi_value result;
	uint32_t *times;

	if (!arg_integer(c, c->arg[0], "port", 1, UINT16_MAX, &port) ||
	    !arg_integer(c, c->arg[1], "count", 1, MAX_CONNECTS, &count))
		return NULL;
	times = calloc((size_t)count, sizeof(*times));
	if (!times)
		return throw_errno(c, ENOMEM, "%d times", (int)count);
	to.sin_port = htons((uint16_t)port);
	for (int64_t i = 0; i < count; i++) {
		int64_t took = time_connect(&to);

		if (took < 0) {
			throw_errno(c, errno, "127.0.0.1:%d", (int)port);
			free(times);
			return NULL;
		}
		times[i] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
	}
	result = from_bytes(c, times, (size_t)count * sizeof(*times));
	free(times);
	return result;
}

const struct export probe_exports[] = {
	{ "cgroupPrograms", cgroup_programs },
	{ "connectTimes", connect_times },
	{},
};
