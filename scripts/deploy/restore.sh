#!/usr/bin/env bash
# Fills an empty database from a file of backup.sh:
#
#   scripts/deploy/restore.sh FILE.sql.gz
#
# It changes nothing where the file is damaged or the database holds anything. The service is to be stopped meanwhile, and
# to be started with the keys of that time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/mysql.sh"

file=${1-}
[ $# -eq 1 ] && [ -r "$file" ] || fail "用法：scripts/deploy/restore.sh 文件.sql.gz"
gzip -t "$file" && gzip -dc "$file" | tail -n 1 | grep -q '^-- Dump completed' || fail "$file 已损坏或不完整：没有改动数据库。"
held=$(mysql_tool mariadb mysql -- --batch --skip-column-names \
	--execute="SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$database'")
[ "$held" = 0 ] || fail "数据库 $database 里已有 $held 张表：只恢复到空的数据库，没有改动。"
gzip -dc "$file" | mysql_tool mariadb mysql -- --default-character-set=utf8mb4 "$database"
