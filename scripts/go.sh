#!/bin/sh
# Checks that a Go able to build this module is here; says in one sentence what to do when it is not.
cd "$(dirname "$0")/.." || exit 1
want=$(sed -n 's/^go //p' go.mod)
if ! command -v go >/dev/null 2>&1; then
	echo "没有找到 Go：请安装 Go $want 或更新的版本（https://go.dev/dl/），并把它的 bin 目录加入 PATH。" >&2
	exit 1
fi
# Go 1.21 and later fetch the toolchain that go.mod asks for, unless GOTOOLCHAIN=local; both refuse here when they cannot.
if ! said=$(go list -m 2>&1 >/dev/null); then
	echo "这里的 Go 不能编译本项目：需要 Go $want 或更新的版本（https://go.dev/dl/）。原因：$said" >&2
	exit 1
fi
