#!/bin/bash
# Deploys mysql. It calls nothing but our own migrations service.
set -eu

echo "deploying mysql 8.4.3 to db-1"
curl -fsS -X POST http://migrations.internal:8080/apply/mysql/8.4.3
echo "mysql 8.4.3 deployed"
