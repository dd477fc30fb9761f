// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "acyclic.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int dup_cloexec(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

bool is_bpf_fd(int fd, const char *kind)
{
	char path[64], target[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	return !strcmp(target + strcspn(target, ":") + (strchr(target, ':') != NULL), kind);
}
