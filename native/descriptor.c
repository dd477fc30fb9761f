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
	static const char prefix[] = "anon_inode:bpf";
	char path[64], target[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	// A link is bpf_link when made and bpf-link when opened again.
	return !strncmp(target, prefix, sizeof(prefix) - 1) && target[sizeof(prefix) - 1] &&
	       !strcmp(target + sizeof(prefix), kind);
}
