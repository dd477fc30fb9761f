// SPDX-License-Identifier: Apache-2.0
// What libbpf has to say about a failure.
#define _GNU_SOURCE
#include "acyclic.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 1024, MAX_LOG = 16 << 20 };

// Of each thread: objects are loaded on another than the loop's.
static _Thread_local struct {
	bool active;
	char text[MAX_TEXT];
	char program[MAX_NAME_BYTES];
	char *log;
} capture;

// libbpf prints a failed program's log itself, after loading it a second time with logging on:
//   prog 'NAME': BPF program load failed: ...
//   prog 'NAME': -- BEGIN PROG LOAD LOG --\n...-- END PROG LOAD LOG --
static void keep_log(char *line)
{
	char *begin = strstr(line, "-- BEGIN PROG LOAD LOG --\n");
	char *end, *quote, *close;

	begin += strlen("-- BEGIN PROG LOAD LOG --\n");
	end = strstr(begin, "-- END PROG LOAD LOG --");
	quote = strchr(line, '\'');
	close = quote ? strchr(quote + 1, '\'') : NULL;
	if (quote && close && close < begin) {
		size_t length = (size_t)(close - quote - 1);

		if (length >= sizeof(capture.program))
			length = sizeof(capture.program) - 1;
		memcpy(capture.program, quote + 1, length);
		capture.program[length] = '\0';
	}
	if (end)
		*end = '\0';
	free(capture.log);
	capture.log = strdup(begin);
}

static int on_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *line;
	va_list again;
	int length;

	if (!capture.active || level == LIBBPF_DEBUG)
		return 0;
	va_copy(again, ap);
	length = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (length <= 0)
		return 0;
	if (length > MAX_LOG)
		length = MAX_LOG;
	line = malloc((size_t)length + 1);
	if (!line)
		return 0;
	vsnprintf(line, (size_t)length + 1, fmt, ap);
	if (strstr(line, "-- BEGIN PROG LOAD LOG --\n")) {
		keep_log(line);
	} else if (level == LIBBPF_WARN) {
		const char *text = strncmp(line, "libbpf: ", 8) ? line : line + 8;
		// The last warning wins, but for these, which only repeat that something failed.
		bool echo = strstr(text, "failed to load object") || strstr(text, "failed to load program");

		if (!echo)
			snprintf(capture.text, sizeof(capture.text), "%.*s", (int)strcspn(text, "\n"), text);
	}
	free(line);
	return 0;
}

void capture_install(void)
{
	libbpf_set_print(on_print);
}

void capture_begin(void)
{
	capture.active = true;
	capture.text[0] = '\0';
	capture.program[0] = '\0';
	free(capture.log);
	capture.log = NULL;
}

void capture_end(void)
{
	capture.active = false;
}

const char *capture_text(void)
{
	return capture.text[0] ? capture.text : NULL;
}

const char *capture_log(void)
{
	return capture.log;
}

const char *capture_program(void)
{
	return capture.program[0] ? capture.program : NULL;
}
