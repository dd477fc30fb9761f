// SPDX-License-Identifier: Apache-2.0
// What else Node lacks: clocks, mounts, locks.
#define _GNU_SOURCE
#include "acyclic.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <link.h>
#include <linux/capability.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// The first object is the program itself. What its file holds for reading and running alone is never changed, so the
// kernel can give it back from the file.
static int release_segments(struct dl_phdr_info *info, size_t size, void *data)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)data;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + segment->p_vaddr;
		uintptr_t to = (from + segment->p_filesz) & ~(page - 1);

		from = (from + page - 1) & ~(page - 1);
		if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W) && from < to)
			madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 1;
}

// An advice: what cannot be given back stays.
static napi_value release_memory(struct call *c)
{
	malloc_trim(0);
	dl_iterate_phdr(release_segments, NULL);
	(void)c;
	return NULL;
}

static napi_value clocks(struct call *c)
{
	uint64_t monotonic = nanoseconds(CLOCK_MONOTONIC), realtime = nanoseconds(CLOCK_REALTIME);
	uint64_t boottime = nanoseconds(CLOCK_BOOTTIME);
	napi_value result = new_object(c);

	if (set_property(c, result, "monotonic", from_u64(c, monotonic)) &&
	    set_property(c, result, "realtime", from_u64(c, realtime)) &&
	    set_property(c, result, "boottime", from_u64(c, boottime)))
		return result;
	return NULL;
}

static napi_value mount_fs(struct call *c)
{
	char *text[3] = {};
	static const char *const what[] = { "source", "target", "type" };
	int err = 0;

	for (int i = 0; i < 3; i++)
		if (!arg_string(c, c->arg[i], what[i], MAX_PATH_BYTES, &text[i]))
			goto out;
	if (strcmp(text[2], "bpf") && strcmp(text[2], "tracefs")) {
		throw_type(c, "type must be bpf or tracefs");
		goto out;
	}
	if (mount(text[0], text[1], text[2], MS_NOSUID | MS_NODEV | MS_NOEXEC, text[2][0] == 'b' ? "mode=0700" : ""))
		err = errno;
	if (err)
		throw_errno(c, err, "%s on %s", text[2], text[1]);
out:
	for (int i = 0; i < 3; i++)
		free(text[i]);
	return NULL;
}

static napi_value file_lock(struct call *c)
{
	bool exclusive, wait = false;
	int fd;

	if (!arg_fd(c, c->arg[0], "descriptor", &fd) || !arg_bool(c, c->arg[1], "exclusive", &exclusive) ||
	    (!is_nullish(c, c->arg[2]) && !arg_bool(c, c->arg[2], "wait", &wait)))
		return NULL;
	if (!flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB)))
		return from_bool(c, true);
	return errno == EWOULDBLOCK ? from_bool(c, false) : throw_errno(c, errno, "descriptor %d", fd);
}

static napi_value kernel_btf(struct call *c)
{
	return from_bool(c, !access("/sys/kernel/btf/vmlinux", R_OK));
}

static napi_value capabilities(struct call *c)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	if (syscall(SYS_capget, &header, data))
		return throw_errno(c, errno, "capget");
	return from_u64(c, (uint64_t)data[1].effective << 32 | data[0].effective);
}

static napi_value libbpf_version(struct call *c)
{
	return from_string(c, libbpf_version_string());
}

const struct export host_exports[] = {
	{ "clocks", clocks },
	{ "releaseMemory", release_memory },
	{ "mountFs", mount_fs },
	{ "fileLock", file_lock },
	{ "kernelBtf", kernel_btf },
	{ "capabilities", capabilities },
	{ "libbpfVersion", libbpf_version },
	{},
};
