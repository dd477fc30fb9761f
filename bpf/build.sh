#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Compiles the eBPF programs and links them into one object: build/acyclic.bpf.o.
set -eu
cd "$(dirname "$0")"
out=../build/bpf
mkdir -p "$out"
case $(uname -m) in
x86_64) arch=x86 ;;
aarch64) arch=arm64 ;;
*) echo "bpf/build.sh: unknown architecture $(uname -m)" >&2; exit 1 ;;
esac
sources="connect udp skb process message outcome syscalls lease unix"
objects=
include=$(gcc -print-multiarch 2>/dev/null || echo "$(uname -m)-linux-gnu")
for source in $sources; do
	clang-19 -target bpf -mcpu=v3 -g -O2 -Wall -Wextra -Werror -Wno-unused-parameter \
		-Wno-address-of-packed-member -D__TARGET_ARCH_$arch -I"/usr/include/$include" \
		-c "$source.bpf.c" -o "$out/$source.bpf.o"
	objects="$objects $out/$source.bpf.o"
done
# shellcheck disable=SC2086 # a list of files
PATH=$PATH:/usr/sbin bpftool gen object ../build/acyclic.bpf.o $objects
