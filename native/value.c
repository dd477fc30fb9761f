// SPDX-License-Identifier: Apache-2.0
// Bounded decoding of arguments, and making of results.
#define _GNU_SOURCE
#include "acyclic.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool has_type(struct call *c, napi_value v, napi_valuetype wanted)
{
	napi_valuetype type;

	return napi_typeof(c->env, v, &type) == napi_ok && type == wanted;
}

bool is_nullish(struct call *c, napi_value v)
{
	return has_type(c, v, napi_undefined) || has_type(c, v, napi_null);
}

bool arg_integer(struct call *c, napi_value v, const char *what, int64_t min, int64_t max, int64_t *out)
{
	double number;

	if (!has_type(c, v, napi_number) || napi_get_value_double(c->env, v, &number) != napi_ok ||
	    !(number >= (double)min && number <= (double)max) || number != trunc(number)) {
		throw_type(c, "%s must be an integer from %lld to %lld", what, (long long)min, (long long)max);
		return false;
	}
	*out = (int64_t)number;
	return true;
}

bool arg_fd(struct call *c, napi_value v, const char *what, int *out)
{
	int64_t fd;

	if (!arg_integer(c, v, what, 0, INT32_MAX, &fd))
		return false;
	*out = (int)fd;
	return true;
}

bool arg_bool(struct call *c, napi_value v, const char *what, bool *out)
{
	if (has_type(c, v, napi_boolean) && napi_get_value_bool(c->env, v, out) == napi_ok)
		return true;
	throw_type(c, "%s must be a boolean", what);
	return false;
}

bool arg_u64(struct call *c, napi_value v, const char *what, uint64_t *out)
{
	bool lossless = false;
	int64_t number;

	if (has_type(c, v, napi_bigint)) {
		if (napi_get_value_bigint_uint64(c->env, v, out, &lossless) == napi_ok && lossless)
			return true;
		throw_type(c, "%s must be a bigint from 0 to 2^64 - 1", what);
		return false;
	}
	if (!arg_integer(c, v, what, 0, (INT64_C(1) << 53) - 1, &number))
		return false;
	*out = (uint64_t)number;
	return true;
}

static bool bytes_to_string(struct call *c, napi_value v, const char *what, size_t max, char **out)
{
	uint8_t *data;
	size_t length;

	*out = NULL;
	if (!arg_bytes(c, v, what, &data, &length))
		return false;
	if (length > max) {
		throw_errno(c, ENAMETOOLONG, "%s is longer than %zu bytes", what, max);
		return false;
	}
	*out = malloc(length + 1);
	if (!*out) {
		throw_errno(c, ENOMEM, "%s", what);
		return false;
	}
	if (length)
		memcpy(*out, data, length);
	(*out)[length] = '\0';
	if (strlen(*out) == length)
		return true;
	free(*out);
	*out = NULL;
	throw_type(c, "%s holds a NUL byte", what);
	return false;
}

bool arg_string(struct call *c, napi_value v, const char *what, size_t max, char **out)
{
	size_t length, copied;
	bool typed = false;

	*out = NULL;
	if (napi_is_typedarray(c->env, v, &typed) == napi_ok && typed)
		return bytes_to_string(c, v, what, max, out);
	if (!has_type(c, v, napi_string) ||
	    napi_get_value_string_utf8(c->env, v, NULL, 0, &length) != napi_ok) {
		throw_type(c, "%s must be a string", what);
		return false;
	}
	if (length > max) {
		throw_errno(c, ENAMETOOLONG, "%s is longer than %zu bytes", what, max);
		return false;
	}
	*out = malloc(length + 1);
	if (!*out) {
		throw_errno(c, ENOMEM, "%s", what);
		return false;
	}
	if (napi_get_value_string_utf8(c->env, v, *out, length + 1, &copied) == napi_ok &&
	    strlen(*out) == length)
		return true;
	free(*out);
	*out = NULL;
	throw_type(c, "%s holds a NUL byte", what);
	return false;
}

bool arg_bytes(struct call *c, napi_value v, const char *what, uint8_t **data, size_t *length)
{
	static uint8_t none;
	napi_typedarray_type type;
	bool typed = false;
	void *memory = NULL;

	if (napi_is_typedarray(c->env, v, &typed) != napi_ok || !typed ||
	    napi_get_typedarray_info(c->env, v, &type, length, &memory, NULL, NULL) != napi_ok ||
	    type != napi_uint8_array) {
		throw_type(c, "%s must be a Uint8Array", what);
		return false;
	}
	// A detached or empty array has no memory.
	if (!memory)
		*length = 0;
	*data = memory ? memory : &none;
	return true;
}

bool arg_function(struct call *c, napi_value v, const char *what)
{
	if (has_type(c, v, napi_function))
		return true;
	throw_type(c, "%s must be a function", what);
	return false;
}

bool arg_object(struct call *c, napi_value v, const char *what)
{
	if (has_type(c, v, napi_object))
		return true;
	throw_type(c, "%s must be an object", what);
	return false;
}

bool get_property(struct call *c, napi_value object, const char *key, napi_value *out)
{
	if (napi_get_named_property(c->env, object, key, out) == napi_ok)
		return true;
	throw_type(c, "%s cannot be read", key);
	return false;
}

napi_value from_bool(struct call *c, bool v)
{
	napi_value out;

	return napi_get_boolean(c->env, v, &out) == napi_ok ? out : NULL;
}

napi_value from_number(struct call *c, double v)
{
	napi_value out;

	return napi_create_double(c->env, v, &out) == napi_ok ? out : NULL;
}

napi_value from_u64(struct call *c, uint64_t v)
{
	napi_value out;

	return napi_create_bigint_uint64(c->env, v, &out) == napi_ok ? out : NULL;
}

napi_value from_string(struct call *c, const char *v)
{
	napi_value out;

	return napi_create_string_utf8(c->env, v, NAPI_AUTO_LENGTH, &out) == napi_ok ? out : NULL;
}

napi_value from_bytes(struct call *c, const void *data, size_t length)
{
	napi_value out;

	if (napi_create_buffer_copy(c->env, length, data, NULL, &out) == napi_ok)
		return out;
	return throw_errno(c, ENOMEM, "%zu bytes", length);
}

napi_value null_value(struct call *c)
{
	napi_value out;

	return napi_get_null(c->env, &out) == napi_ok ? out : NULL;
}

napi_value new_object(struct call *c)
{
	napi_value out;

	return napi_create_object(c->env, &out) == napi_ok ? out : NULL;
}

bool set_property(struct call *c, napi_value object, const char *key, napi_value value)
{
	return object && value && napi_set_named_property(c->env, object, key, value) == napi_ok;
}
