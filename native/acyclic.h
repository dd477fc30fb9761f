// SPDX-License-Identifier: Apache-2.0
// The internal header of the addon: one call frame, argument decoding, handles.
#pragma once

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { MAX_ARGS = 7, MAX_PATH_BYTES = 4096, MAX_NAME_BYTES = 256 };

/** One call from JavaScript. A function that returns NULL has an exception pending or returns undefined. */
struct call {
	napi_env env;
	const char *name;
	napi_value arg[MAX_ARGS];
};

typedef napi_value (*call_fn)(struct call *c);

struct export {
	const char *name;
	call_fn fn;
};

/** Tables of exported functions, each ended by an empty entry. */
extern const struct export object_exports[], map_exports[], link_exports[], program_exports[], ring_exports[],
	spawn_exports[], wait_exports[], signal_exports[], socket_exports[], diag_exports[], host_exports[],
	probe_exports[], datagram_exports[];

/** What an addon is made of, ended by NULL: whole.c or process.c. */
extern const struct export *const addon_exports[];
/** Before the first call. */
void addon_begin(void);

// Errors: JavaScript Error with `code`, `errno` (positive) and `syscall`. All return NULL.

napi_value throw_errno(struct call *c, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
napi_value throw_type(struct call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** The error object alone, to add properties to before napi_throw; NULL when it cannot be made. */
napi_value make_error(struct call *c, int err, const char *message);
/** The symbol of a positive errno, as "EPERM"; never NULL. */
const char *errno_name(int err);

// Arguments. False: an exception is pending. `what` names the argument in the message.

bool arg_integer(struct call *c, napi_value v, const char *what, int64_t min, int64_t max, int64_t *out);
bool arg_fd(struct call *c, napi_value v, const char *what, int *out);
bool arg_bool(struct call *c, napi_value v, const char *what, bool *out);
/** A 64-bit mask or cookie: a non-negative bigint, or a safe non-negative integer. */
bool arg_u64(struct call *c, napi_value v, const char *what, uint64_t *out);
/** A string (or the bytes of one) without NUL, of at most `max` bytes; the caller frees. NULL on failure. */
bool arg_string(struct call *c, napi_value v, const char *what, size_t max, char **out);
/** The live memory of a Uint8Array; valid until JavaScript runs again. */
bool arg_bytes(struct call *c, napi_value v, const char *what, uint8_t **data, size_t *length);
bool arg_function(struct call *c, napi_value v, const char *what);
bool is_nullish(struct call *c, napi_value v);
/** A property of an options object; undefined when absent. Runs JavaScript (getters). */
bool get_property(struct call *c, napi_value object, const char *key, napi_value *out);
bool arg_object(struct call *c, napi_value v, const char *what);

// Results. NULL when the value cannot be made (an exception is pending).

napi_value from_bool(struct call *c, bool v);
napi_value from_number(struct call *c, double v);
napi_value from_u64(struct call *c, uint64_t v);
napi_value from_string(struct call *c, const char *v);
napi_value from_bytes(struct call *c, const void *data, size_t length);
napi_value null_value(struct call *c);
napi_value new_object(struct call *c);
bool set_property(struct call *c, napi_value object, const char *key, napi_value value);

// Handles: a tagged object that owns one native resource.

enum kind { KIND_OBJECT, KIND_MAP, KIND_LINK, KIND_RING, KIND_DATAGRAMS, KIND_COUNT };

/** First member of each resource. `closed` resources stay allocated until their object is collected. */
struct handle {
	enum kind kind;
	bool closed;
};

/** Wraps a malloc'ed resource; on failure it is destroyed at once. `destroy` closes what is open, then frees. */
napi_value handle_new(struct call *c, struct handle *h, napi_finalize destroy);
/** The open resource behind a handle, or NULL with an exception pending. */
void *arg_handle(struct call *c, napi_value v, enum kind kind);
/** As arg_handle, but a closed one is given back too (for close). */
void *arg_handle_any(struct call *c, napi_value v, enum kind kind);

struct bpf_object;
struct bpf_program;
/** The loaded libbpf object of an argument, and a program of it by name. Throw when there is none. */
bool arg_program(struct call *c, napi_value object, napi_value name, struct bpf_program **program, int *fd);

/** What a map is, read from the kernel. */
struct map {
	struct handle handle;
	int fd;
	uint32_t id, type, key_size, value_size, max_entries, flags;
	char name[16];
	/** Bytes of one value as seen from user space: all CPUs' of a per-CPU map. */
	size_t value_bytes;
};

/** The dup of a descriptor with FD_CLOEXEC, or -1 with errno. */
int dup_cloexec(int fd);
/** Whether a descriptor is a BPF "map" or "link": what is pinned under a path can be of any kind. */
bool is_bpf_fd(int fd, const char *kind);

// Watches: a descriptor polled on Node's loop, with a JavaScript callback.

struct watch;
typedef void (*watch_fn)(struct watch *w, void *context);

/**
 * Starts polling `fd` for readability; `ready` runs inside a handle scope. Null with an exception pending.
 * The descriptor stays the caller's, and must outlive the watch unless `owned`.
 */
struct watch *watch_start(struct call *c, int fd, bool owned, napi_value callback, watch_fn ready, void *context);
/** Stops and gives the watch up; none may use it after. NULL is fine. */
void watch_stop(struct watch *w);
void watch_ref(struct watch *w, bool ref);
/** Calls the callback; what it throws becomes an uncaught exception. `w` may be stopped on return. */
void watch_call(struct watch *w, size_t argc, const napi_value *argv);
napi_env watch_env(const struct watch *w);

// What libbpf says, kept from standard error.

void capture_install(void);
void capture_begin(void);
void capture_end(void);
/** The last warning, or NULL. Valid until the next capture_begin. */
const char *capture_text(void);
/** The verifier's log of the last program that failed, or NULL. */
const char *capture_log(void);
/** The program that log is of, or NULL. */
const char *capture_program(void);
