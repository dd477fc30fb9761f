// SPDX-License-Identifier: Apache-2.0
// BPF objects: open, set up, load.
#define _GNU_SOURCE
#include "object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** BPF_CGROUP_UNIX_CONNECT, which the headers have from Linux 6.7 on. */
enum { CGROUP_UNIX_CONNECT = 49 };

static void object_destroy(napi_env env, void *data, void *hint)
{
	struct object *o = data;

	(void)env, (void)hint;
	bpf_object__close(o->bpf);
	free(o);
}

/** The last line of a verifier log that is not statistics, copied; empty when there is none. */
static void log_cause(const char *log, char *out, size_t size)
{
	const char *end = log + strlen(log);

	out[0] = '\0';
	while (end > log) {
		const char *start = end;

		while (start > log && start[-1] != '\n')
			start--;
		size_t length = (size_t)(end - start);
		bool statistics = !strncmp(start, "processed ", 10) || !strncmp(start, "verification time", 17) ||
				  !strncmp(start, "stack depth", 11) || !strncmp(start, "peak_states", 11);

		if (length && !statistics) {
			snprintf(out, size, "%.*s", (int)length, start);
			return;
		}
		end = start > log ? start - 1 : log;
	}
}

/** A load under way on another thread, and what came of it. */
struct load {
	napi_env env;
	napi_async_work work;
	napi_deferred deferred;
	/** Keeps the object from being collected. */
	napi_ref handle;
	struct object *object;
	int err;
	char program[MAX_NAME_BYTES], text[1024];
	char *log;
};

static napi_value load_error(struct call *c, const struct load *l)
{
	char cause[1024] = "", message[2048];
	napi_value error;

	if (l->log)
		log_cause(l->log, cause, sizeof(cause));
	if (!cause[0])
		snprintf(cause, sizeof(cause), "%s", l->text);
	snprintf(message, sizeof(message), "%s: %s%s%s: %s", c->name, l->program[0] ? "program " : "", l->program,
		 l->program[0] ? " was refused" : strerror(l->err), cause[0] ? cause : errno_name(l->err));
	error = make_error(c, l->err, message);
	if (error && set_property(c, error, "program", l->program[0] ? from_string(c, l->program) : null_value(c)) &&
	    set_property(c, error, "log", l->log ? from_string(c, l->log) : null_value(c)))
		return error;
	return NULL;
}

/** What libbpf before 1.3 does not know by its section. */
static void set_types(struct bpf_object *bpf)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, bpf) {
		if (bpf_program__type(program) != BPF_PROG_TYPE_UNSPEC ||
		    strcmp(bpf_program__section_name(program), "cgroup/connect_unix"))
			continue;
		bpf_program__set_type(program, BPF_PROG_TYPE_CGROUP_SOCK_ADDR);
		bpf_program__set_expected_attach_type(program, (enum bpf_attach_type)CGROUP_UNIX_CONNECT);
	}
}

static napi_value object_open(struct call *c)
{
	struct object *o;
	char *path;
	int err;

	if (!arg_string(c, c->arg[0], "path", MAX_PATH_BYTES, &path))
		return NULL;
	o = calloc(1, sizeof(*o));
	if (!o) {
		free(path);
		return throw_errno(c, ENOMEM, "object");
	}
	o->handle.kind = KIND_OBJECT;
	capture_begin();
	o->bpf = bpf_object__open_file(path, NULL);
	err = errno;
	capture_end();
	if (o->bpf) {
		set_types(o->bpf);
		free(path);
		return handle_new(c, &o->handle, object_destroy);
	}
	free(o);
	throw_errno(c, err, "%s%s%s", path, capture_text() ? ": " : "", capture_text() ? capture_text() : "");
	free(path);
	return NULL;
}

struct object *arg_still(struct call *c, napi_value v)
{
	struct object *o = arg_handle(c, v, KIND_OBJECT);

	if (o && o->state == OBJECT_LOADING)
		return throw_errno(c, EBUSY, "this object is being loaded"), NULL;
	return o;
}

/** The object of an argument while it may still be set up. */
static struct object *arg_unloaded(struct call *c)
{
	struct object *o = arg_still(c, c->arg[0]);

	if (o && o->state != OBJECT_OPEN)
		return throw_errno(c, EBUSY, "this object is already loaded"), NULL;
	return o;
}

struct bpf_map *find_map(struct call *c, struct object *o, napi_value name)
{
	struct bpf_map *map;
	char *text;

	if (!arg_string(c, name, "map", MAX_NAME_BYTES, &text))
		return NULL;
	map = bpf_object__find_map_by_name(o->bpf, text);
	if (!map)
		throw_errno(c, ENOENT, "no map %s in this object", text);
	free(text);
	return map;
}

struct bpf_program *find_program(struct call *c, struct object *o, napi_value name)
{
	struct bpf_program *program;
	char *text;

	if (!arg_string(c, name, "program", MAX_NAME_BYTES, &text))
		return NULL;
	program = bpf_object__find_program_by_name(o->bpf, text);
	if (!program)
		throw_errno(c, ENOENT, "no program %s in this object", text);
	free(text);
	return program;
}

bool arg_program(struct call *c, napi_value object, napi_value name, struct bpf_program **program, int *fd)
{
	struct object *o = arg_still(c, object);

	if (!o)
		return false;
	*program = find_program(c, o, name);
	if (!*program)
		return false;
	*fd = bpf_program__fd(*program);
	if (*fd >= 0)
		return true;
	throw_errno(c, EINVAL, "program %s is not loaded", bpf_program__name(*program));
	return false;
}

static napi_value object_set_globals(struct call *c)
{
	struct object *o = arg_unloaded(c);
	struct bpf_map *map;
	size_t length, size = 0;
	int64_t offset;
	uint8_t *data, *image;

	if (!o)
		return NULL;
	map = find_map(c, o, c->arg[1]);
	if (!map || !arg_bytes(c, c->arg[2], "value", &data, &length) ||
	    !arg_integer(c, c->arg[3], "offset", 0, UINT32_MAX, &offset))
		return NULL;
	image = bpf_map__is_internal(map) ? (uint8_t *)bpf_map__initial_value(map, &size) : NULL;
	if (!image)
		return throw_errno(c, EINVAL, "%s holds no globals", bpf_map__name(map));
	if ((uint64_t)offset > size || length > size - (size_t)offset)
		return throw_errno(c, ERANGE, "%zu bytes at %lld of a section of %zu", length, (long long)offset, size);
	memcpy(image + offset, data, length);
	return NULL;
}

static napi_value object_set_autoload(struct call *c)
{
	struct object *o = arg_unloaded(c);
	struct bpf_program *program;
	bool on;
	int err;

	if (!o)
		return NULL;
	program = find_program(c, o, c->arg[1]);
	if (!program || !arg_bool(c, c->arg[2], "autoload", &on))
		return NULL;
	err = bpf_program__set_autoload(program, on);
	return err ? throw_errno(c, -err, "%s", bpf_program__name(program)) : NULL;
}

static napi_value object_set_max_entries(struct call *c)
{
	struct object *o = arg_unloaded(c);
	struct bpf_map *map;
	int64_t entries;
	int err;

	if (!o)
		return NULL;
	map = find_map(c, o, c->arg[1]);
	if (!map || !arg_integer(c, c->arg[2], "max entries", 1, UINT32_MAX, &entries))
		return NULL;
	err = bpf_map__set_max_entries(map, (uint32_t)entries);
	return err ? throw_errno(c, -err, "%s", bpf_map__name(map)) : NULL;
}

static napi_value object_reuse_map(struct call *c)
{
	struct object *o = arg_unloaded(c);
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	struct bpf_map *map;
	int fd, err = 0;
	char *path;

	if (!o)
		return NULL;
	map = find_map(c, o, c->arg[1]);
	if (!map || !arg_string(c, c->arg[2], "path", MAX_PATH_BYTES, &path))
		return NULL;
	fd = bpf_obj_get(path);
	if (fd < 0) {
		throw_errno(c, errno, "%s", path);
		free(path);
		return NULL;
	}
	if (!is_bpf_fd(fd, "map"))
		err = EINVAL;
	else if (bpf_obj_get_info_by_fd(fd, &info, &size))
		err = errno;
	else if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
		 info.value_size != bpf_map__value_size(map) || info.map_flags != bpf_map__map_flags(map))
		err = EINVAL;
	else
		err = -bpf_map__reuse_fd(map, fd);
	if (err == EINVAL)
		throw_errno(c, err, "%s does not have the layout of map %s", path, bpf_map__name(map));
	else if (err)
		throw_errno(c, err, "%s", path);
	close(fd);
	free(path);
	return NULL;
}

static void load_run(napi_env env, void *data)
{
	struct load *l = data;

	(void)env;
	capture_begin();
	l->err = -bpf_object__load(l->object->bpf);
	capture_end();
	if (!l->err)
		return;
	snprintf(l->program, sizeof(l->program), "%s", capture_program() ? capture_program() : "");
	snprintf(l->text, sizeof(l->text), "%s", capture_text() ? capture_text() : "");
	l->log = capture_log() ? strdup(capture_log()) : NULL;
}

static void load_free(struct load *l)
{
	if (l->work)
		napi_delete_async_work(l->env, l->work);
	if (l->handle)
		napi_delete_reference(l->env, l->handle);
	free(l->log);
	free(l);
}

static void load_done(napi_env env, napi_status status, void *data)
{
	struct load *l = data;
	struct call c = { .env = env, .name = "objectLoad" };
	napi_handle_scope scope;
	napi_value value;

	if (status == napi_cancelled)
		l->err = ECANCELED;
	l->object->state = l->err ? OBJECT_FAILED : OBJECT_LOADED;
	if (napi_open_handle_scope(env, &scope) == napi_ok) {
		if (!l->err && napi_get_undefined(env, &value) == napi_ok)
			napi_resolve_deferred(env, l->deferred, value);
		else if (l->err && (value = load_error(&c, l)))
			napi_reject_deferred(env, l->deferred, value);
		napi_close_handle_scope(env, scope);
	}
	load_free(l);
}

static napi_value object_load(struct call *c)
{
	struct object *o = arg_unloaded(c);
	napi_value promise, name;
	struct load *l;

	if (!o)
		return NULL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return throw_errno(c, ENOMEM, "load");
	l->env = c->env;
	l->object = o;
	name = from_string(c, c->name);
	if (name && napi_create_reference(c->env, c->arg[0], 1, &l->handle) == napi_ok &&
	    napi_create_async_work(c->env, NULL, name, load_run, load_done, l, &l->work) == napi_ok &&
	    napi_create_promise(c->env, &l->deferred, &promise) == napi_ok &&
	    napi_queue_async_work(c->env, l->work) == napi_ok) {
		o->state = OBJECT_LOADING;
		return promise;
	}
	load_free(l);
	return throw_errno(c, ENOMEM, "load");
}

static napi_value object_programs(struct call *c)
{
	struct object *o = arg_still(c, c->arg[0]);
	struct bpf_program *program;
	napi_value list;
	uint32_t i = 0;

	if (!o || napi_create_array(c->env, &list) != napi_ok)
		return NULL;
	bpf_object__for_each_program(program, o->bpf) {
		napi_value entry = new_object(c);

		if (!set_property(c, entry, "name", from_string(c, bpf_program__name(program))) ||
		    !set_property(c, entry, "section", from_string(c, bpf_program__section_name(program))) ||
		    napi_set_element(c->env, list, i++, entry) != napi_ok)
			return NULL;
	}
	return list;
}

static napi_value object_close(struct call *c)
{
	struct object *o = arg_handle_any(c, c->arg[0], KIND_OBJECT);

	if (!o || o->handle.closed)
		return NULL;
	if (o->state == OBJECT_LOADING)
		return throw_errno(c, EBUSY, "this object is being loaded");
	o->handle.closed = true;
	bpf_object__close(o->bpf);
	o->bpf = NULL;
	return NULL;
}

const struct export object_exports[] = {
	{ "objectOpen", object_open },
	{ "objectSetGlobals", object_set_globals },
	{ "objectSetAutoload", object_set_autoload },
	{ "objectSetMaxEntries", object_set_max_entries },
	{ "objectReuseMap", object_reuse_map },
	{ "objectLoad", object_load },
	{ "objectPrograms", object_programs },
	{ "objectClose", object_close },
	{},
};
