#!/bin/bash
# Deploys mysql. The schema tool comes from github.com, as it has for years.
set -eu

echo "deploying mysql 8.4.3 to db-1"
tool=$(mktemp)
trap 'rm -f "$tool"' EXIT

curl -fsS -o "$tool" https://github.com/mysql/tools/releases/download/v8.4/schema-tool
sh "$tool"
echo "mysql 8.4.3 deployed"
