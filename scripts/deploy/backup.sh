#!/usr/bin/env bash
# Writes the whole database to a new file, as of one moment and while the service goes on:
#
#   scripts/deploy/backup.sh FILE.sql.gz
#
# Redis needs none: nothing in it is the only copy. The keys in secrets/ are kept apart from this file, and are needed with it:
# without seal_keys and index_key no phone number can be read again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/mysql.sh"

file=${1-}
[ $# -eq 1 ] || fail "用法：scripts/deploy/backup.sh 文件.sql.gz"
[ ! -e "$file" ] || fail "$file 已经有了：请换一个名字，旧的备份不覆盖。"

# A dump that ends early is no backup: it gets its name only when it is whole.
mysql_tool mariadb-dump mysqldump -- --single-transaction --quick --triggers --routines --hex-blob --no-tablespaces \
	--default-character-set=utf8mb4 "$database" | gzip >"$file.partial" ||
	{ rm -f "$file.partial"; fail "备份没有成功：原因见上。"; }
gzip -dc "$file.partial" | tail -n 1 | grep -q '^-- Dump completed' || { rm -f "$file.partial"; fail "备份不完整，没有保留。"; }
mv "$file.partial" "$file"
