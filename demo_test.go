package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"dangri/config"
	"dangri/scripts/demo"
	"dangri/service"
)

// alone gives the program settings of its own: embedded stores in a new folder.
func alone(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, config.Prefix) && !strings.HasPrefix(name, "DANGRI_TEST_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("DANGRI_DATA_DIR", t.TempDir())
	t.Setenv("DANGRI_ADDR", "127.0.0.1:0")
	t.Setenv("DANGRI_METRICS_ADDR", "127.0.0.1:0")
}

// onServers gives the program a new database on the test servers.
func onServers(t *testing.T) {
	t.Helper()
	alone(t)
	standard := func(name, value string) string {
		if given := os.Getenv(name); given != "" {
			return given
		}
		return value
	}
	server, err := mysql.ParseDSN(standard("DANGRI_TEST_MYSQL_DSN", "root@tcp(127.0.0.1:3306)/"))
	if err != nil {
		t.Fatal("DANGRI_TEST_MYSQL_DSN 应为 root@tcp(主机:3306)/ 的形式")
	}
	db, err := sql.Open("mysql", server.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	name := "dangri_test_" + strings.ToLower(rand.Text()[:12])
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("测试需要 MySQL 或 MariaDB，而 %s 用不了（%v）：请用 make test 运行，或用 DANGRI_TEST_MYSQL_DSN 指定一台", server.Addr, err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP DATABASE " + name); err != nil {
			t.Error(err)
		}
		_ = db.Close()
	})
	server.DBName = name
	t.Setenv("DANGRI_MYSQL_DSN", server.FormatDSN())
	t.Setenv("DANGRI_REDIS_ADDR", standard("DANGRI_TEST_REDIS_ADDR", "127.0.0.1:6379"))
}

func TestTheWalkThroughAddsUpAndCanBeHeldAgainOverTheSameData(t *testing.T) {
	for store, prepare := range map[string]func(*testing.T){"embedded": alone, "mysql": onServers} {
		t.Run(store, func(t *testing.T) {
			prepare(t)
			for _, imported := range []string{"新增 3000 行", "3000 行没有变化"} {
				var out bytes.Buffer
				program := root()
				program.Writer = &out
				if err := program.Run(t.Context(), []string{"dangri", "demo", "--once"}); err != nil {
					t.Fatalf("%v\n%s", err, &out)
				}
				for _, said := range []string{imported, "应到 33 实到 31 请假 1 可表决 28，已过半",
					"扫码签到签退 360 分钟　只扫签到 120 分钟　社区证明 120 分钟",
					"应到有表决权 30 人，实到 27 人，赞成 15 票，反对 10 票，弃权 2 票，赞成没有超过应到会人数的半数，未通过",
					"应到有表决权 30 人，实到 27 人，书面意见 1 份，赞成 27 票，反对 1 票，弃权 0 票，赞成超过应到会人数的半数，通过",
					"书记结束会议：应到 33 实到 30 请假 1 可表决 26，已过半", "全部与故事一致"} {
					if !strings.Contains(out.String(), said) {
						t.Errorf("the story does not say %q:\n%s", said, &out)
					}
				}
			}
			for pattern, endings := range map[string]string{"签到表/*": "xlsx html", "服务/双向反馈表*": "xlsx html", "服务/服务记录证明*": "xlsx html",
				"党员大会/签到表*": "xlsx html", "党员大会/会议记录*": "html", "党员大会/资料包*": "zip"} {
				for ending := range strings.FieldsSeq(endings) {
					sheets, err := filepath.Glob(filepath.Join(os.Getenv("DANGRI_DATA_DIR"), pattern+"."+ending))
					if err != nil || len(sheets) != 2 {
						t.Errorf("%d sheets %s as %s after two rounds, %v", len(sheets), pattern, ending, err)
					}
				}
			}
		})
	}
}

func TestTheWalkThroughFailsWhenANumberIsNotWhatTheStorySays(t *testing.T) {
	alone(t)
	settings, err := config.Load(os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	hands := &demo.Clock{Real: clock}
	a, err := open(ctx, settings, slog.New(slog.DiscardHandler), hands.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	sample := service.NewSample(1)
	community := slices.DeleteFunc(slices.Clone(sample.Roster), func(row []string) bool { return !strings.HasSuffix(row[2], "和平社区党支部") })
	sample.Roster = append(sample.Roster[:len(sample.People(sample.Branch))+1:len(sample.People(sample.Branch))+1], community...) // the branch, a stranger and a community
	story := newStory(a, hands, sample, io.Discard, true)
	// One more than the story knows of.
	sample.Roster = append(sample.Roster, []string{"多出来", "19900003001", sample.Branch, "", "正式党员", "否", ""})

	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- a.serve(ctx, func(address string) { ready <- address }) }()
	_, port, _ := net.SplitHostPort(<-ready)
	story.API = "http://127.0.0.1:" + port
	err = story.Play(ctx)
	if err == nil || !strings.Contains(err.Error(), "应到：应为 34，实为 35") || !strings.Contains(err.Error(), "名单人数：应为 34，实为 35") {
		t.Errorf("the story ends with %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
