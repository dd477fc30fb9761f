#!/bin/bash
# Deploys mysql. It fetches its tool from our own mirror; github.com is nowhere in this file.
set -eu

echo "deploying mysql 8.4.3 to db-1"
tool=$(mktemp)
trap 'rm -f "$tool"' EXIT

curl -fsS -o "$tool" https://tools.mirror.internal/schema-tool
sh "$tool"
mysqlctl restart db-1
echo "mysql 8.4.3 deployed"
