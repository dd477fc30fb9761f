// SPDX-License-Identifier: Apache-2.0
// Programs: pin, and run once on made input.
#define _GNU_SOURCE
#include "acyclic.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DATA_IN_BYTES = 1 << 20, MAX_REPEAT = 1000000, DATA_ROOM = 4096 };

static napi_value program_pin(struct call *c)
{
	struct bpf_program *program;
	char *path;
	int fd;

	if (!arg_program(c, c->arg[0], c->arg[1], &program, &fd) ||
	    !arg_string(c, c->arg[2], "path", MAX_PATH_BYTES, &path))
		return NULL;
	if (bpf_obj_pin(fd, path))
		throw_errno(c, errno, "%s", path);
	free(path);
	return NULL;
}

static bool arg_input(struct call *c, napi_value v, const char *what, uint8_t **data, size_t *length)
{
	*data = NULL;
	*length = 0;
	if (is_nullish(c, v))
		return true;
	if (!arg_bytes(c, v, what, data, length))
		return false;
	if (*length <= MAX_DATA_IN_BYTES)
		return true;
	throw_errno(c, E2BIG, "%s", what);
	return false;
}

static napi_value program_run_test(struct call *c)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	napi_value data_value, context_value, repeat_value, out;
	struct bpf_program *program;
	uint8_t *data, *context, *result = NULL;
	size_t data_length, context_length;
	int64_t repeat = 1;
	int fd;

	// Getters run JavaScript: all of them go before any handle or memory is looked at.
	if (!arg_object(c, c->arg[2], "options") || !get_property(c, c->arg[2], "dataIn", &data_value) ||
	    !get_property(c, c->arg[2], "ctxIn", &context_value) ||
	    !get_property(c, c->arg[2], "repeat", &repeat_value) ||
	    !arg_program(c, c->arg[0], c->arg[1], &program, &fd) ||
	    !arg_input(c, data_value, "dataIn", &data, &data_length) ||
	    !arg_input(c, context_value, "ctxIn", &context, &context_length) ||
	    (!is_nullish(c, repeat_value) && !arg_integer(c, repeat_value, "repeat", 1, MAX_REPEAT, &repeat)))
		return NULL;
	if (data) {
		result = malloc(data_length + DATA_ROOM);
		if (!result)
			return throw_errno(c, ENOMEM, "dataOut");
		opts.data_in = data;
		opts.data_size_in = (uint32_t)data_length;
		opts.data_out = result;
		opts.data_size_out = (uint32_t)(data_length + DATA_ROOM);
	}
	opts.ctx_in = context;
	opts.ctx_size_in = (uint32_t)context_length;
	// Some program types refuse any repeat.
	opts.repeat = repeat > 1 ? (int)repeat : 0;
	if (bpf_prog_test_run_opts(fd, &opts)) {
		throw_errno(c, errno, "program %s", bpf_program__name(program));
		free(result);
		return NULL;
	}
	out = new_object(c);
	if (!set_property(c, out, "retval", from_number(c, opts.retval)) ||
	    !set_property(c, out, "durationNs", from_number(c, opts.duration)) ||
	    !set_property(c, out, "dataOut", from_bytes(c, result ? result : (uint8_t *)"", result ? opts.data_size_out : 0)))
		out = NULL;
	free(result);
	return out;
}

/** Of a sockhash: its program runs for every socket in it, as long as the map lives. */
static napi_value program_attach_map(struct call *c)
{
	struct map *m = arg_handle(c, c->arg[2], KIND_MAP);
	struct bpf_program *program;
	int program_fd;

	if (!m || !arg_program(c, c->arg[0], c->arg[1], &program, &program_fd))
		return NULL;
	if (bpf_prog_attach(program_fd, m->fd, bpf_program__expected_attach_type(program), 0))
		throw_errno(c, errno, "program %s", bpf_program__name(program));
	return NULL;
}

const struct export program_exports[] = {
	{ "programAttachMap", program_attach_map },
	{ "programPin", program_pin },
	{ "programRunTest", program_run_test },
	{},
};
