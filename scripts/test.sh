#!/usr/bin/env bash
# Runs the whole suite with the race detector, on the embedded stores and on MySQL and Redis.
#
#   scripts/test.sh [ARGUMENT…]     arguments of go test, ./... by default
#
# What the machine lacks (a C compiler for the race detector, MariaDB, Redis) is installed from its distribution.
# What failed is said once more at the end: each test with the first lines of its message.
# DANGRI_TEST_MYSQL_DSN and DANGRI_TEST_REDIS_ADDR name stores to use instead: root rights, one database a test.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/machine.sh
scripts/go.sh

compiles_c() {
	command -v "$(go env CC)" >/dev/null && echo '#include <stdlib.h>' | "$(go env CC)" -x c -fsyntax-only - 2>/dev/null
}
compiles_c || install "竞态检测所需的 C 编译器" gcc libc6-dev
[ $# -gt 0 ] || set -- ./...

said=$(mktemp)
trap 'rm -f "$said"' EXIT
status=0
# SQLite, which is C translated to Go, is not watched for races: that took half of the suite's processor time.
CGO_ENABLED=1 scripts/stores.sh go test -race -gcflags='github.com/ncruces/go-sqlite3-wasm/...=-race=false' -count=1 -timeout=30m "$@" 2>&1 | tee "$said" || status=$?
[ "$status" -eq 0 ] || {
	printf '\n没有通过的：\n'
	awk '/^(ok|\?) *\t/ { left = 0 }
		/^ *--- FAIL:|^FAIL|^panic:|^fatal error:|^WARNING: DATA RACE|^goleak:|^# / { left = 12 }
		!/^ *\{"/ && left-- > 0' "$said"
}
exit "$status"
