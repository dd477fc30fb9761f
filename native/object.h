// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "acyclic.h"

/** libbpf can load an object once; after that, or a failure, nothing of it may be set. */
enum object_state { OBJECT_OPEN, OBJECT_LOADING, OBJECT_LOADED, OBJECT_FAILED };

struct object {
	struct handle handle;
	struct bpf_object *bpf;
	enum object_state state;
};

/** The object of an argument, unless another thread has it. NULL with an exception pending. */
struct object *arg_still(struct call *c, napi_value v);

struct bpf_map;
/** By name in an object, or NULL with an exception pending. */
struct bpf_map *find_map(struct call *c, struct object *o, napi_value name);
struct bpf_program *find_program(struct call *c, struct object *o, napi_value name);
