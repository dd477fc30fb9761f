// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "acyclic.h"

enum { MAX_FDS = 1024 };

enum stage { STAGE_CLONE, STAGE_CGROUP, STAGE_FDS, STAGE_CHDIR, STAGE_EXEC };

/** What the child reports through the pipe when it cannot become the command. */
struct failure {
	int32_t err;
	int32_t stage;
};

struct child {
	char *file, *cwd;
	char **args, **env;
	/** A cgroup2 directory, or -1. */
	int cgroup;
	/** Bit n - 1: signal n is ignored; all others are at their default. */
	uint64_t ignored;
	/** Soft RLIMIT_NOFILE, or -1 to keep it. */
	int64_t nofile;
	/** fds[i] becomes descriptor i of the child; -1 leaves descriptor i as it is. */
	int *fds;
	int fd_count;
	int pid, pidfd;
};

/** Returns once the child has called execve; on failure it is reaped and nothing stays open. */
bool child_start(struct child *child, struct failure *failure);
