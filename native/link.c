// SPDX-License-Identifier: Apache-2.0
// Links: each is one descriptor. Closing it detaches the program unless the link is pinned.
#define _GNU_SOURCE
#include "acyclic.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16 };

struct link {
	struct handle handle;
	int fd;
};

static void link_destroy(napi_env env, void *data, void *hint)
{
	struct link *l = data;

	(void)env, (void)hint;
	if (!l->handle.closed)
		close(l->fd);
	free(l);
}

static napi_value link_new(struct call *c, int fd)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l) {
		close(fd);
		return throw_errno(c, ENOMEM, "link");
	}
	*l = (struct link){ .handle = { .kind = KIND_LINK }, .fd = fd };
	return handle_new(c, &l->handle, link_destroy);
}

static napi_value link_attach_cgroup(struct call *c)
{
	struct bpf_program *program;
	int program_fd, cgroup, fd;

	if (!arg_program(c, c->arg[0], c->arg[1], &program, &program_fd) ||
	    !arg_fd(c, c->arg[2], "cgroup", &cgroup))
		return NULL;
	fd = bpf_link_create(program_fd, cgroup, bpf_program__expected_attach_type(program), NULL);
	return fd < 0 ? throw_errno(c, errno, "program %s", bpf_program__name(program)) : link_new(c, fd);
}

static int tracepoint_id(const char *event)
{
	static const char *const roots[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	int id = -1;

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]) && id < 0; i++) {
		char path[512];
		FILE *file;

		snprintf(path, sizeof(path), "%s/events/%s/id", roots[i], event);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%d", &id) != 1)
			id = -1;
		fclose(file);
	}
	if (id < 0)
		errno = ENOENT;
	return id;
}

// The link holds the perf event, so its descriptor need not stay: a pinned link then survives us untouched.
static int attach_tracepoint(int program_fd, const char *event)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	int id = tracepoint_id(event), perf, fd, err;

	if (id < 0)
		return -1;
	attr.config = (uint64_t)id;
	perf = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (perf < 0)
		return -1;
	fd = bpf_link_create(program_fd, perf, BPF_PERF_EVENT, NULL);
	err = errno;
	if (fd >= 0 && ioctl(perf, PERF_EVENT_IOC_ENABLE, 0)) {
		err = errno;
		close(fd);
		fd = -1;
	}
	close(perf);
	errno = err;
	return fd;
}

/** An iterator over a map's elements holds on to that map; those over anything else are given none. */
static int attach_iterator(int program_fd, const struct map *over)
{
	union bpf_iter_link_info info = { .map.map_fd = over ? (uint32_t)over->fd : 0 };
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	if (over) {
		opts.iter_info = &info;
		opts.iter_info_len = sizeof(info);
	}
	return bpf_link_create(program_fd, 0, BPF_TRACE_ITER, &opts);
}

static napi_value link_attach(struct call *c)
{
	struct bpf_program *program;
	const char *section, *slash;
	struct map *over = NULL;
	char event[256];
	int program_fd, fd;

	if (!arg_program(c, c->arg[0], c->arg[1], &program, &program_fd))
		return NULL;
	if (!is_nullish(c, c->arg[2])) {
		over = arg_handle(c, c->arg[2], KIND_MAP);
		if (!over)
			return NULL;
	}
	section = bpf_program__section_name(program);
	slash = strchr(section, '/');
	snprintf(event, sizeof(event), "%s", slash ? slash + 1 : "");
	switch (bpf_program__type(program)) {
	case BPF_PROG_TYPE_TRACEPOINT:
		fd = attach_tracepoint(program_fd, event);
		break;
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
		fd = bpf_raw_tracepoint_open(event, program_fd);
		break;
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_LSM:
		if (bpf_program__expected_attach_type(program) == BPF_TRACE_ITER)
			fd = attach_iterator(program_fd, over);
		else
			fd = bpf_raw_tracepoint_open(NULL, program_fd);
		break;
	default:
		fd = -1;
		errno = EOPNOTSUPP;
	}
	return fd < 0 ? throw_errno(c, errno, "program %s (%s)", bpf_program__name(program), section) :
			link_new(c, fd);
}

/** All that the descriptor of a new iteration gives; false with errno. */
static bool read_all(int fd, uint8_t **data, size_t *used, size_t max)
{
	size_t capacity = 0;

	for (;;) {
		ssize_t got;

		if (*used == capacity) {
			uint8_t *grown = realloc(*data, capacity = capacity ? 2 * capacity : READ_BYTES);

			if (!grown)
				return false;
			*data = grown;
		}
		got = read(fd, *data + *used, capacity - *used);
		if (got == 0)
			return true;
		// EAGAIN: the kernel went past a million elements without output, and asks to be called again.
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		*used += got > 0 ? (size_t)got : 0;
		if (*used > max) {
			errno = E2BIG;
			return false;
		}
	}
}

static napi_value link_read(struct call *c)
{
	struct link *l = arg_handle(c, c->arg[0], KIND_LINK);
	uint8_t *data = NULL;
	napi_value out;
	size_t used = 0;
	int64_t max;
	int fd;

	if (!l || !arg_integer(c, c->arg[1], "max bytes", 1, INT32_MAX, &max))
		return NULL;
	fd = bpf_iter_create(l->fd);
	if (fd < 0)
		return throw_errno(c, errno, "iterator");
	if (read_all(fd, &data, &used, (size_t)max))
		out = from_bytes(c, data, used);
	else
		out = throw_errno(c, errno, "iterator");
	close(fd);
	free(data);
	return out;
}

static napi_value link_pin(struct call *c)
{
	struct link *l = arg_handle(c, c->arg[0], KIND_LINK);
	char *path;

	if (!l || !arg_string(c, c->arg[1], "path", MAX_PATH_BYTES, &path))
		return NULL;
	if (bpf_obj_pin(l->fd, path))
		throw_errno(c, errno, "%s", path);
	free(path);
	return NULL;
}

static napi_value link_open_pinned(struct call *c)
{
	char *path;
	int fd, err = 0;

	if (!arg_string(c, c->arg[0], "path", MAX_PATH_BYTES, &path))
		return NULL;
	fd = bpf_obj_get(path);
	if (fd < 0)
		err = errno;
	else if (!is_bpf_fd(fd, "link"))
		err = EINVAL;
	if (err) {
		if (fd >= 0)
			close(fd);
		throw_errno(c, err, "%s", path);
	}
	free(path);
	return err ? NULL : link_new(c, fd);
}

static napi_value link_update(struct call *c)
{
	struct link *l = arg_handle(c, c->arg[0], KIND_LINK);
	struct bpf_program *program;
	int program_fd;

	if (!l || !arg_program(c, c->arg[1], c->arg[2], &program, &program_fd))
		return NULL;
	if (bpf_link_update(l->fd, program_fd, NULL))
		return throw_errno(c, errno, "program %s", bpf_program__name(program));
	return NULL;
}

/** Whether its program is still where it was attached: a cgroup link can be detached by force (BPF_LINK_DETACH). */
static napi_value link_attached(struct call *c)
{
	struct link *l = arg_handle(c, c->arg[0], KIND_LINK);
	struct bpf_link_info info = {};
	uint32_t size = sizeof(info);

	if (!l)
		return NULL;
	if (bpf_obj_get_info_by_fd(l->fd, &info, &size))
		return throw_errno(c, errno, "link");
	return from_bool(c, info.type != BPF_LINK_TYPE_CGROUP || info.cgroup.cgroup_id != 0);
}

static napi_value link_close(struct call *c)
{
	struct link *l = arg_handle_any(c, c->arg[0], KIND_LINK);

	if (!l || l->handle.closed)
		return NULL;
	l->handle.closed = true;
	close(l->fd);
	l->fd = -1;
	return NULL;
}

const struct export link_exports[] = {
	{ "linkAttachCgroup", link_attach_cgroup },
	{ "linkAttach", link_attach },
	{ "linkRead", link_read },
	{ "linkPin", link_pin },
	{ "linkOpenPinned", link_open_pinned },
	{ "linkUpdate", link_update },
	{ "linkAttached", link_attached },
	{ "linkClose", link_close },
	{},
};
