#!/usr/bin/env bash
# Runs a command with a MariaDB and a Redis of its own, gone afterwards.
#
#   scripts/stores.sh [--durable] COMMAND [ARGUMENT…]
#
# The command finds them in DANGRI_TEST_MYSQL_DSN (root, no database) and DANGRI_TEST_REDIS_ADDR. A store that such a
# variable names already is used as it is. Otherwise the distribution's server is installed if need be and started on a
# free loopback port with an empty folder; where there is no apt-get, a container of a running Docker engine serves.
# --durable writes every commit to disk before it is acknowledged, as in production; without it a crash may lose a second.
#
# DANGRI_STORES_DIR holds mariadb/ and redis/ of the servers started here: pid is the process, ./start starts it anew
# with the same port and data, log is what it says. So a drill can kill a store and bring it back.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/machine.sh"

flush=2
if [ "${1-}" = --durable ]; then
	flush=1
	shift
fi
[ $# -gt 0 ] || fail "用法：scripts/stores.sh [--durable] 命令 [参数…]"

DANGRI_STORES_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dangri-stores.XXXXXX")
export DANGRI_STORES_DIR
containers=

tidy() {
	local store pid tick
	for store in mariadb redis; do
		pid=$(cat "$DANGRI_STORES_DIR/$store/pid" 2>/dev/null) || continue
		# A drill may have ended the process, and its number may be another's by now.
		[[ ! -d /proc/self || $(readlink "/proc/$pid/cwd") == "$DANGRI_STORES_DIR"/* ]] || continue
		kill -KILL "$pid" 2>/dev/null || continue
		for ((tick = 0; tick < 100; tick++)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.05
		done
	done
	[ -z "$containers" ] || compose down --volumes --timeout 0 >/dev/null 2>&1
	rm -rf "$DANGRI_STORES_DIR"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

compose() {
	FLUSH=$flush docker compose --project-name "dangri-stores-$$" --file "$here/stores.compose.yml" "$@"
}

# in_containers tells whether a store that is not installed should come as a container.
in_containers() {
	! command -v apt-get >/dev/null && docker info >/dev/null 2>&1
}

# up STORE READY writes the line on standard input as STORE's start script, with PORT a free port, and runs it until its
# log says READY. The port is asked of nobody, so another process may take it first: then the next one is tried.
up() {
	local store=$1 ready=$2 dir=$DANGRI_STORES_DIR/$1 command try tick pid
	command=$(tr -d '\t\n')
	for try in 1 2 3 4 5; do
		port=$((20000 + RANDOM % 12000))
		printf '#!/bin/sh\necho $$ >%q/pid\nexec %s >>%q/log 2>&1\n' "$dir" "${command//PORT/$port}" "$dir" >"$dir/start"
		chmod 755 "$dir/start"
		: >"$dir/log"
		"$dir/start" &
		pid=$!
		disown
		for ((tick = 0; tick < 600; tick++)); do
			if grep -q "$ready" "$dir/log"; then return; fi
			kill -0 "$pid" 2>/dev/null || continue 2
			sleep 0.1
		done
		break
	done
	tail -n 20 "$dir/log" >&2
	fail "$store 没有启动成功：原因见上。"
}

start_mariadb() {
	local dir=$DANGRI_STORES_DIR/mariadb user
	mkdir "$dir"
	user=$(id -un)
	mariadb-install-db --no-defaults --datadir="$dir/data" --user="$user" --auth-root-authentication-method=normal \
		--skip-test-db --force >"$dir/log" 2>&1 || {
		tail -n 20 "$dir/log" >&2
		fail "MariaDB 的数据目录没有建成：原因见上。"
	}
	up mariadb 'ready for connections' <<-END
		mariadbd --no-defaults --user=$user --datadir=$dir/data --socket=$dir/socket --pid-file=$dir/mariadbd.pid
		 --bind-address=127.0.0.1 --port=PORT --skip-name-resolve --max-connections=1000
		 --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci
		 --innodb-buffer-pool-size=512M --innodb-flush-log-at-trx-commit=$flush
	END
	export DANGRI_TEST_MYSQL_DSN="root@tcp(127.0.0.1:$port)/"
}

start_redis() {
	local dir=$DANGRI_STORES_DIR/redis
	mkdir "$dir"
	up redis 'Ready to accept connections' <<-END
		redis-server --bind 127.0.0.1 --port PORT --dir $dir --save '' --appendonly no
	END
	export DANGRI_TEST_REDIS_ADDR="127.0.0.1:$port"
}

start_containers() {
	containers=yes
	compose up --detach --wait --quiet-pull "$@" >&2 || fail "Docker 没有启动 $*：原因见上。"
}

PATH=$PATH:/usr/sbin:/usr/local/sbin
if [ -z "${DANGRI_TEST_MYSQL_DSN-}" ]; then
	if command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null; then
		start_mariadb
	elif in_containers; then
		start_containers mysql
		export DANGRI_TEST_MYSQL_DSN="root@tcp($(compose port mysql 3306))/"
	else
		install MariaDB 'mariadb-server-core | mariadb-server' 'mariadb-client-core | mariadb-client'
		start_mariadb
	fi
fi
if [ -z "${DANGRI_TEST_REDIS_ADDR-}" ]; then
	if command -v redis-server >/dev/null; then
		start_redis
	elif in_containers; then
		start_containers redis
		DANGRI_TEST_REDIS_ADDR=$(compose port redis 6379)
		export DANGRI_TEST_REDIS_ADDR
	else
		install Redis redis-server
		start_redis
	fi
fi

"$@"
