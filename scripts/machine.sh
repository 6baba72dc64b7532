# Sourced by the scripts beside it: what a Debian or Ubuntu machine lacks is installed from its own distribution.

fail() {
	echo "$*" >&2
	exit 1
}

# install WHAT PACKAGE… installs the packages ("a | b": the first that the distribution has), or ends the script with one sentence that says what is missing.
# It never removes a package that is there, and the services that the packages bring are not started.
install() {
	local what=$1 as_root=()
	shift
	command -v apt-get >/dev/null || fail "缺少$what，而这台机器没有 apt-get：请自行安装后重试。"
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || fail "缺少$what，而当前用户不是 root，也没有 sudo：请以 root 安装（$*）后重试。"
		as_root=(sudo)
	fi
	echo "正在安装$what：$*" >&2
	(
		guard=/usr/sbin/policy-rc.d
		if [ ! -e "$guard" ]; then
			trap '"${as_root[@]}" rm -f "$guard"' EXIT
			printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$guard" >/dev/null
			"${as_root[@]}" chmod 755 "$guard"
		fi
		# Package lists grow stale and mirrors hiccup, so the update is repeated along with the installation.
		for pause in 5 15 0; do
			"${as_root[@]}" apt-get -qq -o Acquire::Retries=3 update || true
			"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends --no-remove \
				-o Acquire::Retries=3 -o DPkg::Lock::Timeout=180 -o Dpkg::Use-Pty=0 satisfy "$@" && exit
			sleep "$pause"
		done
		exit 1
	) >&2 || fail "缺少$what，三次安装（$*）都没有成功：原因见上，处理后重试。"
}
