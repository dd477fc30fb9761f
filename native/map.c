// SPDX-License-Identifier: Apache-2.0
// Maps: each handle has a descriptor of its own, so it outlives the object it came from.
#define _GNU_SOURCE
#include "object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static void map_destroy(napi_env env, void *data, void *hint)
{
	struct map *m = data;

	(void)env, (void)hint;
	if (!m->handle.closed)
		close(m->fd);
	free(m);
}

/** Takes the descriptor over, also on failure. */
static napi_value map_new(struct call *c, int fd)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	struct map *m;
	int cpus;

	if (bpf_obj_get_info_by_fd(fd, &info, &size)) {
		int err = errno;

		close(fd);
		return throw_errno(c, err, "map");
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		close(fd);
		return throw_errno(c, ENOMEM, "map");
	}
	*m = (struct map){ .handle = { .kind = KIND_MAP }, .fd = fd, .id = info.id, .type = info.type,
			   .key_size = info.key_size, .value_size = info.value_size,
			   .max_entries = info.max_entries, .flags = info.map_flags,
			   .value_bytes = info.value_size };
	memcpy(m->name, info.name, sizeof(m->name) - 1);
	if (info.type == BPF_MAP_TYPE_PERCPU_HASH || info.type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	    info.type == BPF_MAP_TYPE_LRU_PERCPU_HASH || info.type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE) {
		cpus = libbpf_num_possible_cpus();
		if (cpus < 0) {
			map_destroy(c->env, m, NULL);
			return throw_errno(c, -cpus, "number of CPUs");
		}
		m->value_bytes = round_up(info.value_size, 8) * (size_t)cpus;
	}
	return handle_new(c, &m->handle, map_destroy);
}

static napi_value map_open(struct call *c)
{
	struct object *o = arg_still(c, c->arg[0]);
	struct bpf_map *map;
	int fd;

	if (!o)
		return NULL;
	map = find_map(c, o, c->arg[1]);
	if (!map)
		return NULL;
	if (bpf_map__fd(map) < 0)
		return throw_errno(c, EINVAL, "map %s is not loaded", bpf_map__name(map));
	fd = dup_cloexec(bpf_map__fd(map));
	return fd < 0 ? throw_errno(c, errno, "map %s", bpf_map__name(map)) : map_new(c, fd);
}

static napi_value map_open_pinned(struct call *c)
{
	char *path;
	int fd;

	if (!arg_string(c, c->arg[0], "path", MAX_PATH_BYTES, &path))
		return NULL;
	fd = bpf_obj_get(path);
	if (fd < 0) {
		throw_errno(c, errno, "%s", path);
	} else if (!is_bpf_fd(fd, "map")) {
		throw_errno(c, EINVAL, "%s is no map", path);
		close(fd);
		fd = -1;
	}
	free(path);
	return fd < 0 ? NULL : map_new(c, fd);
}

static napi_value map_pin(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	char *path;

	if (!m || !arg_string(c, c->arg[1], "path", MAX_PATH_BYTES, &path))
		return NULL;
	if (bpf_obj_pin(m->fd, path))
		throw_errno(c, errno, "%s", path);
	free(path);
	return NULL;
}

static napi_value map_info(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	napi_value info;

	if (!m)
		return NULL;
	info = new_object(c);
	if (set_property(c, info, "name", from_string(c, m->name)) &&
	    set_property(c, info, "id", from_number(c, m->id)) &&
	    set_property(c, info, "type", from_number(c, m->type)) &&
	    set_property(c, info, "keySize", from_number(c, m->key_size)) &&
	    set_property(c, info, "valueSize", from_number(c, m->value_size)) &&
	    set_property(c, info, "maxEntries", from_number(c, m->max_entries)) &&
	    set_property(c, info, "flags", from_number(c, m->flags)))
		return info;
	return NULL;
}

/** `count` entries of `size` bytes each, or an exception. */
static bool arg_entries(struct call *c, napi_value v, const char *what, size_t size, size_t count, uint8_t **data)
{
	size_t length;

	if (!arg_bytes(c, v, what, data, &length))
		return false;
	if (size && count > SIZE_MAX / size)
		length = SIZE_MAX;
	else if (length == size * count)
		return true;
	throw_errno(c, EINVAL, "%s must be %zu bytes for each of %zu", what, size, count);
	return false;
}

static napi_value read_value(struct call *c, int (*read)(int fd, const void *key, void *value))
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	uint8_t *key, *value;
	napi_value out;

	if (!m || !arg_entries(c, c->arg[1], "key", m->key_size, 1, &key))
		return NULL;
	value = calloc(1, m->value_bytes + 1);
	if (!value)
		return throw_errno(c, ENOMEM, "value of %zu bytes", m->value_bytes);
	if (!read(m->fd, m->key_size ? key : NULL, value))
		out = from_bytes(c, value, m->value_bytes);
	else if (errno == ENOENT)
		out = null_value(c);
	else
		out = throw_errno(c, errno, "map %s", m->name);
	free(value);
	return out;
}

static napi_value map_lookup(struct call *c)
{
	return read_value(c, bpf_map_lookup_elem);
}

static napi_value map_take(struct call *c)
{
	return read_value(c, bpf_map_lookup_and_delete_elem);
}

static napi_value map_update(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	uint8_t *key, *value;
	int64_t flags = 0;

	if (!m || !arg_entries(c, c->arg[1], "key", m->key_size, 1, &key) ||
	    !arg_entries(c, c->arg[2], "value", m->value_bytes, 1, &value) ||
	    (!is_nullish(c, c->arg[3]) && !arg_integer(c, c->arg[3], "flags", 0, UINT32_MAX, &flags)))
		return NULL;
	if (bpf_map_update_elem(m->fd, m->key_size ? key : NULL, value, (uint64_t)flags))
		return throw_errno(c, errno, "map %s", m->name);
	return NULL;
}

static napi_value map_delete(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	uint8_t *key;

	if (!m || !arg_entries(c, c->arg[1], "key", m->key_size, 1, &key))
		return NULL;
	if (!bpf_map_delete_elem(m->fd, key))
		return from_bool(c, true);
	return errno == ENOENT ? from_bool(c, false) : throw_errno(c, errno, "map %s", m->name);
}

/** An error that also says how many entries went through before it. */
static napi_value throw_batch(struct call *c, struct map *m, int err, int64_t done)
{
	napi_value error = NULL;

	throw_errno(c, err, "map %s, entry %lld", m->name, (long long)done);
	if (napi_get_and_clear_last_exception(c->env, &error) == napi_ok) {
		set_property(c, error, "done", from_number(c, (double)done));
		napi_throw(c->env, error);
	}
	return NULL;
}

static napi_value map_update_batch(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	uint8_t *keys, *values;
	int64_t count;

	if (!m || !arg_integer(c, c->arg[3], "count", 0, UINT32_MAX, &count) ||
	    !arg_entries(c, c->arg[1], "keys", m->key_size, (size_t)count, &keys) ||
	    !arg_entries(c, c->arg[2], "values", m->value_bytes, (size_t)count, &values))
		return NULL;
	if (!m->key_size)
		return throw_errno(c, EINVAL, "map %s has no keys", m->name);
	for (int64_t i = 0; i < count; i++)
		if (bpf_map_update_elem(m->fd, keys + i * m->key_size, values + (size_t)i * m->value_bytes, BPF_ANY))
			return throw_batch(c, m, errno, i);
	return NULL;
}

static napi_value map_delete_batch(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	uint8_t *keys;
	int64_t count;

	if (!m || !arg_integer(c, c->arg[2], "count", 0, UINT32_MAX, &count) ||
	    !arg_entries(c, c->arg[1], "keys", m->key_size, (size_t)count, &keys))
		return NULL;
	if (!m->key_size)
		return throw_errno(c, EINVAL, "map %s has no keys", m->name);
	for (int64_t i = 0; i < count; i++)
		if (bpf_map_delete_elem(m->fd, keys + i * m->key_size) && errno != ENOENT)
			return throw_batch(c, m, errno, i);
	return NULL;
}

// When the current key is deleted under the walk the kernel starts over, so a key may come twice; `max` bounds it.
static napi_value map_keys(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	size_t used = 0, capacity = 64;
	napi_value out = NULL;
	uint8_t *keys, *after = NULL;
	int64_t max;
	int err = 0;

	if (!m || !arg_integer(c, c->arg[1], "max", 0, UINT32_MAX, &max) ||
	    (!is_nullish(c, c->arg[2]) && !arg_entries(c, c->arg[2], "after", m->key_size, 1, &after)))
		return NULL;
	if (!m->key_size)
		return throw_errno(c, EINVAL, "map %s has no keys", m->name);
	keys = malloc(capacity * m->key_size);
	while (keys && (int64_t)used < max) {
		uint8_t *next = keys + used * m->key_size;

		if (bpf_map_get_next_key(m->fd, used ? next - m->key_size : after, next)) {
			err = errno == ENOENT ? 0 : errno;
			break;
		}
		if (++used == capacity) {
			uint8_t *grown = reallocarray(keys, capacity *= 2, m->key_size);

			if (!grown)
				free(keys);
			keys = grown;
		}
	}
	if (!keys)
		return throw_errno(c, ENOMEM, "keys of map %s", m->name);
	if (err)
		throw_errno(c, err, "map %s", m->name);
	else
		out = from_bytes(c, keys, used * m->key_size);
	free(keys);
	return out;
}

static void mmap_release(napi_env env, void *data, void *hint)
{
	(void)env;
	munmap(data, (size_t)hint);
}

static napi_value map_mmap(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[0], KIND_MAP);
	napi_value out;
	size_t length;
	void *memory;

	if (!m)
		return NULL;
	if (m->type != BPF_MAP_TYPE_ARRAY || !(m->flags & BPF_F_MMAPABLE))
		return throw_errno(c, EINVAL, "map %s is no array with BPF_F_MMAPABLE", m->name);
	length = round_up(m->value_size, 8) * (size_t)m->max_entries;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	if (memory == MAP_FAILED)
		return throw_errno(c, errno, "map %s", m->name);
	if (napi_create_external_arraybuffer(c->env, memory, length, mmap_release, (void *)length, &out) == napi_ok)
		return out;
	munmap(memory, length);
	return throw_errno(c, ENOMEM, "map %s", m->name);
}

static napi_value map_close(struct call *c)
{
	struct map *m = arg_handle_any(c, c->arg[0], KIND_MAP);

	if (!m || m->handle.closed)
		return NULL;
	m->handle.closed = true;
	close(m->fd);
	m->fd = -1;
	return NULL;
}

const struct export map_exports[] = {
	{ "mapOpen", map_open },
	{ "mapOpenPinned", map_open_pinned },
	{ "mapPin", map_pin },
	{ "mapInfo", map_info },
	{ "mapLookup", map_lookup },
	{ "mapTake", map_take },
	{ "mapUpdate", map_update },
	{ "mapDelete", map_delete },
	{ "mapUpdateBatch", map_update_batch },
	{ "mapDeleteBatch", map_delete_batch },
	{ "mapKeys", map_keys },
	{ "mapMmap", map_mmap },
	{ "mapClose", map_close },
	{},
};
