# Sourced by backup.sh and restore.sh: mysql_tool NAME… runs the first of these MySQL tools that is there, on the database
# $database: of the DSN in DANGRI_MYSQL_DSN, or of the running containers of docker-compose.yml.
umask 077
fail() {
	echo "$*" >&2
	exit 1
}

dsn=${DANGRI_MYSQL_DSN-}
if [ -n "$dsn" ]; then
	[[ $dsn =~ ^([^:@]+)(:(.*))?@tcp\(([^:\)]+):([0-9]+)\)/([0-9A-Za-z_]+)(\?.*)?$ ]] ||
		fail "DANGRI_MYSQL_DSN 应为 用户:密码@tcp(主机:3306)/数据库 的形式。"
	database=${BASH_REMATCH[6]}
	# The password goes by a file that nobody else reads: arguments are everybody's to see.
	options=$(mktemp)
	trap 'rm -f "$options"' EXIT
	password=${BASH_REMATCH[3]//\\/\\\\}
	printf '[client]\nuser="%s"\npassword="%s"\nhost="%s"\nport=%s\n' "${BASH_REMATCH[1]}" "${password//\"/\\\"}" \
		"${BASH_REMATCH[4]}" "${BASH_REMATCH[5]}" >"$options"
else
	database=dangri
fi

mysql_tool() {
	local tools=() tool
	while [ "$1" != -- ]; do
		tools+=("$1")
		shift
	done
	shift
	if [ -n "$dsn" ]; then
		for tool in "${tools[@]}"; do
			if command -v "$tool" >/dev/null; then
				"$tool" --defaults-extra-file="$options" "$@"
				return
			fi
		done
		fail "没有找到 ${tools[*]}：请安装 MySQL 或 MariaDB 的客户端。"
	fi
	# shellcheck disable=SC2016 # expanded in the container
	docker compose exec -T mysql sh -c 'MYSQL_PWD=$(cat /run/secrets/mysql_root_password) exec "$@"' sh "${tools[-1]}" --user=root "$@"
}
