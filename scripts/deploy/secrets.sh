#!/usr/bin/env bash
# Makes the passwords and keys that docker-compose.yml reads from secrets/, each only where it is missing.
# Back the folder up apart from the database: without seal_keys and index_key no phone number can be read again.
set -euo pipefail
umask 077
cd "$(dirname "$0")/../.."
mkdir -p secrets

# make NAME keeps standard input as the secret NAME, unless there is one already.
make() {
	if [ -e "secrets/$1" ]; then
		cat >/dev/null
	else
		cat >"secrets/$1"
		# Read in the containers by users of their own; on this machine the folder keeps everybody else out.
		chmod 444 "secrets/$1"
		echo "已生成 secrets/$1"
	fi
}
password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
key() { head -c 32 /dev/urandom | base64 -w0; }

password | make mysql_root_password
password | make mysql_owner_password
password | make mysql_app_password
password | make redis_password
printf 'dangri_owner:%s@tcp(mysql:3306)/dangri' "$(cat secrets/mysql_owner_password)" | make mysql_owner_dsn
printf 'dangri_app:%s@tcp(mysql:3306)/dangri' "$(cat secrets/mysql_app_password)" | make mysql_dsn
printf 'k1:%s' "$(key)" | make seal_keys
key | make index_key
key | make code_key
if [ ! -s secrets/wechat_app_secret ]; then
	: >secrets/wechat_app_secret
	chmod 644 secrets/wechat_app_secret
	echo "请把小程序的 AppSecret 写入 secrets/wechat_app_secret"
fi
