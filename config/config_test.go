package config

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"
)

func key(fill string) string {
	return base64.StdEncoding.EncodeToString([]byte((fill + strings.Repeat("0123456789", 4))[:keySize]))
}

// production is an environment that production accepts.
func production() map[string]string {
	return map[string]string{
		"DANGRI_ENV":                     "production",
		"DANGRI_PUBLIC_URL":              "https://dj.example.cn",
		"DANGRI_MYSQL_DSN":               "dangri:PLANTED-dsn@tcp(db:3306)/dangri",
		"DANGRI_FILES":                   "s3://files.example.cn/dangri/photos",
		"DANGRI_FILES_KEY":               "files-key",
		"DANGRI_FILES_SECRET":            "PLANTED-files",
		"DANGRI_REDIS_ADDR":              "redis:6379",
		"DANGRI_REDIS_PASSWORD":          "PLANTED-redis",
		"DANGRI_WECHAT_APP_ID":           "wx0000000000000001",
		"DANGRI_WECHAT_APP_SECRET":       "PLANTED-app",
		"DANGRI_WECHAT_TEMPLATES":        "/etc/dangri/templates.json",
		"DANGRI_WECHAT_PUSH_TOKEN":       "PLANTED-push",
		"DANGRI_WECHAT_ENCODING_AES_KEY": strings.Repeat("PLANTEDaes0", 4)[:43],
		"DANGRI_SEAL_KEYS":               "k2:" + key("PLANTED-seal-2") + ",k1:" + key("PLANTED-seal-1"),
		"DANGRI_INDEX_KEY":               key("PLANTED-index"),
		"DANGRI_CODE_KEY":                key("PLANTED-code"),
	}
}

func load(vars map[string]string) (Settings, error) {
	var environ []string
	for k, v := range vars {
		environ = append(environ, k+"="+v)
	}
	return Load(environ)
}

// wantProblems demands exactly one problem with each of the variables, in this order.
func wantProblems(t *testing.T, err error, names ...string) {
	t.Helper()
	var got Problems
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want problems with %v", err, names)
	}
	if !slices.EqualFunc(got, names, func(p, name string) bool { return strings.HasPrefix(p, name+"：") }) {
		t.Fatalf("got:\n%v\nwant problems with %v", err, names)
	}
}

func TestAnEmptyEnvironmentIsAWorkingDevelopmentInstallation(t *testing.T) {
	s, err := Load([]string{"HOME=/root", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Environment: Development, LogLevel: slog.LevelInfo, Addr: ":8080", MetricsAddr: "127.0.0.1:9090", PublicURL: "http://127.0.0.1:8080",
		DataDir: "./data", WeChatBaseURL: "https://api.weixin.qq.com", WeChatState: "formal", Zone: zone,
		QuietHours: Hours{22 * time.Hour, 7 * time.Hour}, RemindersADay: 5, LateRecordDays: 7, ReminderWork: 1,
		SessionIdle: 30 * 24 * time.Hour, SessionLife: 180 * 24 * time.Hour, InvitationLife: 72 * time.Hour,
		KeepSessions: 720 * time.Hour, KeepInvitations: 720 * time.Hour, KeepSending: 4320 * time.Hour, KeepHouseholds: 720 * time.Hour, KeepAudit: 26280 * time.Hour,
		CodeStep: 15 * time.Second, CodeMargin: 10 * time.Second, TypedStep: time.Minute,
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got\n%v\nwant\n%v", s, want)
	}
}

func TestEveryValueArrivesInItsField(t *testing.T) {
	vars := production()
	vars["DANGRI_LOG_LEVEL"] = "warn"
	vars["DANGRI_TRUSTED_PROXIES"] = "10.0.0.0/8,127.0.0.1/32"
	vars["DANGRI_REDIS_TLS"] = "true"
	vars["DANGRI_TIME_ZONE"] = "UTC"
	vars["DANGRI_CODE_STEP"] = " 20s "
	s, err := load(vars)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ got, want any }{
		{s.Environment, Production},
		{s.LogLevel, slog.LevelWarn},
		{s.MySQLDSN.Reveal(), vars["DANGRI_MYSQL_DSN"]},
		{s.RedisPassword.Reveal(), "PLANTED-redis"},
		{s.RedisTLS, true},
		{s.Files, FilesAt{Endpoint: "files.example.cn", Bucket: "dangri", Beginning: "photos"}},
		{s.FilesSecret.Reveal(), "PLANTED-files"},
		{s.RedisAddr, RedisAddr{Addrs: []string{"redis:6379"}}},
		{s.WeChatAppSecret.Reveal(), "PLANTED-app"},
		{s.Proxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}},
		{s.Zone.String(), "UTC"},
		{s.CodeStep, 20 * time.Second},
		{keys.Seal[0].ID, "k2"},
		{string(keys.Seal[1].Key)[:14], "PLANTED-seal-1"},
		{string(keys.Index)[:13], "PLANTED-index"},
		{string(keys.Code)[:12], "PLANTED-code"},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}

func TestASecretMayStandInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dsn")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\n dangri:from-file@tcp(db)/dangri \n")
	s, err := load(map[string]string{"DANGRI_MYSQL_DSN_FILE": path})
	if err != nil || s.MySQLDSN.Reveal() != "dangri:from-file@tcp(db)/dangri" {
		t.Errorf("got %q, %v; want the file's text, trimmed", s.MySQLDSN.Reveal(), err)
	}

	_, err = load(map[string]string{"DANGRI_MYSQL_DSN_FILE": path, "DANGRI_MYSQL_DSN": "a:b@tcp(db)/d"})
	wantProblems(t, err, "DANGRI_MYSQL_DSN")

	write(" \n")
	_, err = load(map[string]string{"DANGRI_MYSQL_DSN_FILE": path})
	wantProblems(t, err, "DANGRI_MYSQL_DSN")

	_, err = load(map[string]string{"DANGRI_MYSQL_DSN_FILE": "root:PLANTED@tcp(db)/d", "DANGRI_ADDR_FILE": path})
	wantProblems(t, err, "DANGRI_MYSQL_DSN", "DANGRI_ADDR_FILE")
	if strings.Contains(err.Error(), "PLANTED") {
		t.Errorf("a secret put in the wrong variable is printed: %v", err)
	}
}

func TestEverythingWrongIsToldAtOnceAndWithoutItsValue(t *testing.T) {
	vars := map[string]string{
		"DANGRI_ENV": "staging", "DANGRI_LOG_LEVEL": "loud", "DANGRI_ADDR": "8080", "DANGRI_METRICS_ADDR": "localhost:99999",
		"DANGRI_PUBLIC_URL": "https://example.cn/app", "DANGRI_TRUSTED_PROXIES": "10.0.0.1",
		"DANGRI_MYSQL_DSN": "mysql://root:PLANTED@db/dangri", "DANGRI_REDIS_ADDR": "redis://:PLANTED@redis:6379", "DANGRI_REDIS_TLS": "ja",
		"DANGRI_WECHAT_APP_SECRET": "PLANTED", "DANGRI_WECHAT_BASE_URL": "http://203.0.113.7",
		"DANGRI_WECHAT_PUSH_TOKEN": "PLANTED", "DANGRI_WECHAT_STATE": "release",
		"DANGRI_SEAL_KEYS": "K1:PLANTED", "DANGRI_INDEX_KEY": "PLANTED", "DANGRI_CODE_KEY": key("short")[:40],
		"DANGRI_TIME_ZONE": "Asia/Mengyin", "DANGRI_QUIET_HOURS": "22-7", "DANGRI_REMINDERS_A_DAY": "0", "DANGRI_REMINDER_WORKERS": "many", "DANGRI_LATE_RECORD_DAYS": "a week", "DANGRI_SESSION_IDLE": "30", "DANGRI_SESSION_LIFE": "long", "DANGRI_INVITATION_LIFE": "1s",
		"DANGRI_CODE_STEP": "1.5s", "DANGRI_CODE_MARGIN": "-1s", "DANGRI_TYPED_STEP": "1h",
		"DANGRI_REDIS_ADR": "x", "DANGRI_EMPTY": "",
	}
	_, err := load(vars)
	wantProblems(t, err, "DANGRI_ENV", "DANGRI_LOG_LEVEL", "DANGRI_ADDR", "DANGRI_METRICS_ADDR", "DANGRI_PUBLIC_URL", "DANGRI_TRUSTED_PROXIES",
		"DANGRI_MYSQL_DSN", "DANGRI_REDIS_ADDR", "DANGRI_REDIS_TLS", "DANGRI_WECHAT_APP_SECRET", "DANGRI_WECHAT_BASE_URL",
		"DANGRI_WECHAT_PUSH_TOKEN", "DANGRI_WECHAT_STATE", "DANGRI_SEAL_KEYS", "DANGRI_INDEX_KEY", "DANGRI_CODE_KEY", "DANGRI_TIME_ZONE",
		"DANGRI_QUIET_HOURS", "DANGRI_REMINDERS_A_DAY", "DANGRI_LATE_RECORD_DAYS", "DANGRI_REMINDER_WORKERS", "DANGRI_SESSION_IDLE", "DANGRI_SESSION_LIFE", "DANGRI_INVITATION_LIFE", "DANGRI_CODE_STEP", "DANGRI_CODE_MARGIN", "DANGRI_TYPED_STEP",
		"DANGRI_EMPTY", "DANGRI_REDIS_ADR")
	if strings.Contains(err.Error(), "PLANTED") {
		t.Errorf("a secret is printed: %v", err)
	}
}

func TestVariablesOfScriptsAndOfOthersAreNoneOfOurs(t *testing.T) {
	_, err := load(map[string]string{"DANGRI_TEST_MYSQL_DSN": "x", "DANGRI_STORES_DIR": "x", "DANGRI_VULNDB": "x", "MYSQL_DSN": "x"})
	if err != nil {
		t.Error(err)
	}
}

func TestAnEmptyVariableCountsAsNotSet(t *testing.T) {
	s, err := load(map[string]string{"DANGRI_ADDR": "", "DANGRI_MYSQL_DSN": " ", "DANGRI_CODE_KEY_FILE": ""})
	if err != nil || s.Addr != ":8080" || s.MySQLDSN != "" || s.CodeKey != nil {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestProductionRefusesEveryStandIn(t *testing.T) {
	if _, err := load(production()); err != nil {
		t.Fatalf("a complete production environment is refused: %v", err)
	}
	_, err := load(map[string]string{"DANGRI_ENV": "production"})
	wantProblems(t, err, "DANGRI_PUBLIC_URL", "DANGRI_MYSQL_DSN", "DANGRI_FILES", "DANGRI_REDIS_ADDR", "DANGRI_WECHAT_APP_ID", "DANGRI_WECHAT_TEMPLATES",
		"DANGRI_SEAL_KEYS", "DANGRI_INDEX_KEY", "DANGRI_CODE_KEY")

	for _, c := range []struct {
		name    string
		change  map[string]string
		problem string
	}{
		{"plain http", map[string]string{"DANGRI_PUBLIC_URL": "http://dj.example.cn"}, "DANGRI_PUBLIC_URL"},
		{"an example seal key", map[string]string{"DANGRI_SEAL_KEYS": "k1:" + key("dangri-example-seal")}, "DANGRI_SEAL_KEYS"},
		{"an example behind a good key", map[string]string{"DANGRI_SEAL_KEYS": "k2:" + key("good") + ",k1:" + key("dangri-example-seal")}, "DANGRI_SEAL_KEYS"},
		{"an example index key", map[string]string{"DANGRI_INDEX_KEY": key("dangri-example-index")}, "DANGRI_INDEX_KEY"},
		{"zeros for a key", map[string]string{"DANGRI_CODE_KEY": base64.StdEncoding.EncodeToString(make([]byte, keySize))}, "DANGRI_CODE_KEY"},
		{"one key for two purposes", map[string]string{"DANGRI_CODE_KEY": key("PLANTED-index")}, "DANGRI_CODE_KEY"},
		{"a store without its key", map[string]string{"DANGRI_FILES_KEY": ""}, "DANGRI_FILES_KEY"},
		{"a store without its secret", map[string]string{"DANGRI_FILES_SECRET": ""}, "DANGRI_FILES_SECRET"},
		{"no index key", map[string]string{"DANGRI_INDEX_KEY": ""}, "DANGRI_INDEX_KEY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			vars := production()
			for k, v := range c.change {
				vars[k] = v
			}
			_, err := load(vars)
			wantProblems(t, err, c.problem)
		})
	}
}

func TestDevelopmentTakesAllKeysOrNone(t *testing.T) {
	_, err := load(map[string]string{"DANGRI_INDEX_KEY": key("index")})
	wantProblems(t, err, "DANGRI_SEAL_KEYS", "DANGRI_CODE_KEY")
	_, err = load(map[string]string{"DANGRI_SEAL_KEYS": "k:" + key("dangri-example-a"), "DANGRI_INDEX_KEY": key("dangri-example-b"), "DANGRI_CODE_KEY": key("dangri-example-c")})
	if err != nil {
		t.Errorf("development refuses example keys: %v", err)
	}
}

func TestPhotosMayLieInAFolderOrABucket(t *testing.T) {
	for text, want := range map[string]FilesAt{
		"/data/files":                    {Folder: "/data/files"},
		"./files":                        {Folder: "./files"},
		"s3://oss.example.cn/dangri":     {Endpoint: "oss.example.cn", Bucket: "dangri"},
		"s3://oss.example.cn/dangri/a/b": {Endpoint: "oss.example.cn", Bucket: "dangri", Beginning: "a/b"},
		"s3+http://minio:9000/dangri":    {Endpoint: "minio:9000", Bucket: "dangri", Plain: true},
	} {
		var got FilesAt
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %#v (%s), %v", text, got, got, err)
		}
	}
	for _, text := range []string{"s3://", "s3://host", "s3:///bucket", "s3://key:secret@host/bucket", "http://host/bucket", "s3://host/bucket?x=1", "s3://host/B"} {
		if err := new(FilesAt).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestRedisMayBeOneServerAClusterOrBehindSentinels(t *testing.T) {
	for text, want := range map[string]RedisAddr{
		"redis:6379":                        {Addrs: []string{"redis:6379"}},
		"[::1]:6379":                        {Addrs: []string{"[::1]:6379"}},
		"a:7000,b:7001,c:7002":              {Addrs: []string{"a:7000", "b:7001", "c:7002"}},
		"sentinel://dangri@a:26379,b:26379": {Addrs: []string{"a:26379", "b:26379"}, Master: "dangri"},
	} {
		var got RedisAddr
		if err := got.UnmarshalText([]byte(text)); err != nil || !reflect.DeepEqual(got, want) || got.String() != text {
			t.Errorf("%s: got %#v (%s), %v", text, got, got, err)
		}
	}
	for _, text := range []string{"redis", ":6379", "a:6379,", "sentinel://a:26379", "sentinel://@a:26379", "redis://a:6379", "u:p@a:6379", "a:0x1"} {
		if err := new(RedisAddr).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// An output may hold a planted secret as it is, in base64, in hex or as a list of numbers.
func forms(secret string) []string {
	var decimal []string
	for _, b := range []byte(secret) {
		decimal = append(decimal, fmt.Sprint(b))
	}
	return []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("% x", secret),
		strings.Join(decimal, " "), base64.StdEncoding.EncodeToString([]byte(secret))[:8]}
}

func TestNoSecretIsEverPrinted(t *testing.T) {
	s, err := load(production())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys()
	if err != nil {
		t.Fatal(err)
	}
	prints := map[string]string{"String": s.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08b"} {
		prints["fmt "+verb] = fmt.Sprintf(verb, s)
		prints["fmt pointer "+verb] = fmt.Sprintf(verb, &s)
		prints["fmt keys "+verb] = fmt.Sprintf(verb, keys)
		prints["fmt parts "+verb] = fmt.Sprintf(strings.Repeat(verb+" ", 4), s.MySQLDSN, s.IndexKey, s.SealKeys, s.SealKeys[0])
	}
	for name, value := range map[string]any{"settings": s, "keys": keys} {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		prints["json "+name] = string(raw)
		var text, lines bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "value", value, "dsn", s.MySQLDSN, "key", s.CodeKey)
		slog.New(slog.NewJSONHandler(&lines, nil)).Info("x", "value", value, "dsn", s.MySQLDSN, "key", s.CodeKey)
		prints["slog text "+name], prints["slog json "+name] = text.String(), lines.String()
	}
	secrets := []string{"PLANTED-dsn", "PLANTED-redis", "PLANTED-app", "PLANTED-push", "PLANTEDaes0", "PLANTED-seal-1", "PLANTED-seal-2", "PLANTED-index", "PLANTED-code"}
	for what, text := range prints {
		for _, secret := range secrets {
			for _, form := range forms(secret) {
				if strings.Contains(text, form) {
					t.Errorf("%s shows %s: %s", what, secret, text)
				}
			}
		}
	}
	// The search itself must be able to find a leak.
	if leak := fmt.Sprintf("%v", []byte(keys.Index)); !strings.Contains(leak, forms("PLANTED-index")[4]) {
		t.Error("the search does not find a planted secret")
	}
	if text := s.String(); !strings.Contains(text, "DANGRI_MYSQL_DSN=***\n") || !strings.Contains(text, "DANGRI_ADDR=:8080\n") {
		t.Errorf("String does not tell what is set: %s", text)
	}
}

func TestDevelopmentKeysAreGeneratedOnceHoweverManyStartTogether(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	all := make([]Keys, 16)
	var wait sync.WaitGroup
	start := make(chan struct{})
	for i := range all {
		wait.Go(func() {
			<-start
			keys, err := DevelopmentKeys(dir)
			if err != nil {
				t.Error(err)
			}
			all[i] = keys
		})
	}
	close(start)
	wait.Wait()
	for _, keys := range all {
		if !reflect.DeepEqual(keys, all[0]) {
			t.Fatal("two starts got different keys")
		}
	}
	again, err := Settings{DataDir: dir}.Keys()
	if err != nil || !reflect.DeepEqual(again, all[0]) {
		t.Errorf("a later start gets other keys (%v)", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("got %v, %v; want keys.json alone", files, err)
	}
	info, err := os.Stat(filepath.Join(dir, "keys.json"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v; want 0600", info.Mode(), err)
	}
	other, err := DevelopmentKeys(t.TempDir())
	if err != nil || bytes.Equal(other.Index, again.Index) || bytes.Equal(again.Index, again.Code) {
		t.Error("keys repeat")
	}
}

func TestADamagedKeyFileIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(path, []byte(`{"seal_keys":"dev:PLANTED"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := DevelopmentKeys(dir)
	if err == nil || strings.Contains(err.Error(), "PLANTED") {
		t.Errorf("got %v, want an error that shows no key", err)
	}
	if raw, err := os.ReadFile(path); err != nil || !strings.Contains(string(raw), "PLANTED") {
		t.Errorf("the file was changed: %s, %v", raw, err)
	}
}

func TestTheExampleFileIsTheSettings(t *testing.T) {
	raw, err := os.ReadFile("../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	explained := false
	for n, line := range strings.Split(string(raw), "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			explained = true
		case strings.TrimSpace(line) == "":
			explained = false
		case !strings.Contains(line, "=") || !explained:
			t.Errorf("line %d is neither a comment nor an explained variable: %s", n+1, line)
		default:
			got = append(got, line)
		}
	}
	for _, v := range variables() {
		want = append(want, v.name+"="+v.standard)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	fromFile, err := Load(got)
	plain, plainErr := Load(nil)
	if err != nil || plainErr != nil || !reflect.DeepEqual(fromFile, plain) {
		t.Errorf("the example file means other settings than none: %v, %v", err, plainErr)
	}
}
