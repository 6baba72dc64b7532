# What a person does here, one word each: `make help`.
# ARGS is passed on: make test ARGS='-run CheckIn ./service'

.DEFAULT_GOAL := help
.PHONY: run test check lint format vuln secrets bench profile drill soak repeat fuzz mutation docs help

run: ## 演示并启动：生成示例数据，当面开一次主题党日、一次支部党员大会，然后继续服务（只需要 Go）
	@scripts/go.sh
	@echo '正在编译（首次需要一两分钟）……'
	@CGO_ENABLED=0 go run . demo $(ARGS)

test: ## 全部测试，带竞态检测，内置存储与 MySQL + Redis 各跑一遍（缺什么装什么）
	@scripts/test.sh $(ARGS)

check: format lint test vuln secrets ## 合并前的全部检查：格式、规矩、测试、漏洞、泄密

lint: bin/golangci-lint ## 用 .golangci.yml 检查代码的规矩（首次编译工具约四分钟）
	@bin/golangci-lint run ./...

format:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo '以上文件没有按 gofmt 排版：请执行 gofmt -w。'; exit 1; } >&2
	@go vet ./...

# The database of known holes comes from vuln.go.dev, or from the folder that DANGRI_VULNDB names.
vuln: bin/govulncheck
	@bin/govulncheck $(if $(DANGRI_VULNDB),-db 'file://$(DANGRI_VULNDB)') ./... || \
		{ echo '有已知漏洞，或漏洞库读不到（不能上网时，用 DANGRI_VULNDB 指向它的副本）：原因见上。' >&2; exit 1; }

secrets: bin/gitleaks
	@bin/gitleaks git --no-banner --redact --log-level=warn --verbose

bench: ## 基准测试：与这台机器的下限、常见写法、PocketBase、gin-vue-admin 比较（约六分钟；ARGS=-growth 测规模变大以后）
	@scripts/go.sh
	@mkdir -p bin
	@CGO_ENABLED=0 scripts/stores.sh --durable go run ./scripts/bench -json bin/bench.json $(ARGS)

profile: ## 签到期间处理器时间花在哪里
	@scripts/go.sh
	@mkdir -p bin
	@CGO_ENABLED=0 scripts/stores.sh --durable go run ./scripts/bench -only floor,session,checkin -rate 0 -profile bin/checkin.pprof $(ARGS)
	@go tool pprof -top -cum -nodecount=60 bin/checkin.pprof

# A drill kills its stores, so that it takes nobody else's.
OWN_STORES = env -u DANGRI_TEST_MYSQL_DSN -u DANGRI_TEST_REDIS_ADDR scripts/stores.sh --durable

drill: ## 演练：进程和存储被杀、网络出错，之后逐条对账（约十分钟）
	@scripts/go.sh
	@CGO_ENABLED=0 $(OWN_STORES) go run ./scripts/drill $(ARGS)

soak: ## 长跑：二十分钟里每分钟出一次故障，看有没有偏差、内存涨不涨
	@scripts/go.sh
	@CGO_ENABLED=0 $(OWN_STORES) go run ./scripts/drill -long $(ARGS) R20

repeat: ## 凡“只能一次”“不能超员”的测试，反复二十遍
	@scripts/stores.sh --durable go test -count=20 -run='AtOnce|Race|Control' $(or $(ARGS),./...)

fuzz: ## 对每个解析器喂随机输入，各半分钟（ARGS=10m 则各十分钟）
	@scripts/go.sh
	@for package in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|'); do for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
		go test $$package -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(ARGS),30s) -fuzzminimizetime 1s || exit 1; done; done

# Not --test-cpu: gremlins v0.6.0 hands it on so that every test run fails, and so finds every mutant. The tests of migrations
# see no rule and take long; a result from the cache would make the time allowed too short; what vet finds no test has found.
# A mutant takes about as long as the run before them all, so ten times that is enough on a busy machine, and one that never
# ends costs half a minute.
mutation: bin/gremlins ## 改坏规矩里的每个条件和算式，看测试发现几成（至少 85%，约十一分钟）
	@GOFLAGS='-count=1 -vet=off -skip=Migrat|Schema|EveryRowType|TextForMachines|IdentifiersThatDiffer' \
		bin/gremlins unleash ./model --workers 2 --timeout-coefficient 10 --threshold-efficacy 85 $(ARGS)

docs: ## 由代码生成接口文档：api/reference.json、api/refusals.json、api/openapi.json
	@scripts/go.sh
	@CGO_ENABLED=0 go run ./scripts/reference
	@mkdir -p bin
	@CGO_ENABLED=0 go run . docs >bin/openapi.json && mv bin/openapi.json api/openapi.json

help: ## 列出这些命令
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

# The tools have a module of their own, so that they stay out of the product's.
bin/golangci-lint: PACKAGE = github.com/golangci/golangci-lint/v2/cmd/golangci-lint
bin/govulncheck: PACKAGE = golang.org/x/vuln/cmd/govulncheck
bin/gitleaks: PACKAGE = github.com/zricethezav/gitleaks/v8
bin/golangci-lint bin/govulncheck bin/gitleaks: tools/go.mod tools/go.sum
	@scripts/go.sh
	@echo '正在编译 $@……'
	@cd tools && CGO_ENABLED=0 go build -o ../$@ $(PACKAGE) && touch ../$@

# It wants other versions of what the linters want too.
bin/gremlins: tools/mutation/go.mod tools/mutation/go.sum
	@scripts/go.sh
	@echo '正在编译 $@……'
	@cd tools/mutation && CGO_ENABLED=0 go build -o ../../$@ github.com/go-gremlins/gremlins/cmd/gremlins && touch ../../$@
