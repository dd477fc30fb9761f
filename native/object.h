// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "acyclic.h"

/** libbpf can load an object once; after that, or a failure, nothing of it may be set. */
enum object_state { OBJECT_OPEN, OBJECT_LOADED, OBJECT_FAILED };

struct object {
	struct handle handle;
	struct bpf_object *bpf;
	enum object_state state;
};

struct bpf_map;
/** By name in an object, or NULL with an exception pending. */
struct bpf_map *find_map(struct call *c, struct object *o, napi_value name);
struct bpf_program *find_program(struct call *c, struct object *o, napi_value name);
