// Package config is the settings of an installation: typed, defaults first,
// from the environment alone. Its one law: what is secret is never printed,
// whether by fmt, a log line, JSON or an error.
//
// The time zone database is the program's affair: main imports time/tzdata.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Prefix begins the name of every variable.
const Prefix = "DANGRI_"

// Environment is what an installation is for.
type Environment string

// The environments. Production refuses every stand-in that development allows.
const (
	Development Environment = "development"
	Production  Environment = "production"
)

// Settings are what an installation may choose. A variable is the prefix and
// the name in the field's tag; one that is empty counts as not set.
type Settings struct {
	Environment Environment    `env:"ENV" envDefault:"development"`
	LogLevel    slog.Level     `env:"LOG_LEVEL" envDefault:"info"`
	Addr        string         `env:"ADDR" envDefault:":8080"`
	MetricsAddr string         `env:"METRICS_ADDR" envDefault:"127.0.0.1:9090"`
	PublicURL   string         `env:"PUBLIC_URL" envDefault:"http://127.0.0.1:8080"` // where phones and browsers reach the service
	Proxies     []netip.Prefix `env:"TRUSTED_PROXIES"`                               // whose X-Forwarded-For is believed
	Drain       time.Duration  `env:"DRAIN" envDefault:"0s"`                         // between saying that the process leaves and its deafness

	MySQLDSN      Secret    `env:"MYSQL_DSN"`                    // go-sql-driver's form; "": a SQLite file in DataDir
	DataDir       string    `env:"DATA_DIR" envDefault:"./data"` // of the SQLite file and the development keys
	Files         FilesAt   `env:"FILES"`                        // of photos; none: a folder in DataDir
	FilesKey      string    `env:"FILES_KEY"`
	FilesSecret   Secret    `env:"FILES_SECRET"`
	FilesRegion   string    `env:"FILES_REGION"`
	RedisAddr     RedisAddr `env:"REDIS_ADDR"` // none: a Redis inside the process
	RedisPassword Secret    `env:"REDIS_PASSWORD"`
	RedisTLS      bool      `env:"REDIS_TLS" envDefault:"false"`

	WeChatAppID     string `env:"WECHAT_APP_ID"` // "": the simulator
	WeChatAppSecret Secret `env:"WECHAT_APP_SECRET"`
	WeChatBaseURL   string `env:"WECHAT_BASE_URL" envDefault:"https://api.weixin.qq.com"`
	WeChatPushToken Secret `env:"WECHAT_PUSH_TOKEN"`
	WeChatAESKey    Secret `env:"WECHAT_ENCODING_AES_KEY"`
	WeChatState     string `env:"WECHAT_STATE" envDefault:"formal"` // developer, trial or formal: which version messages and codes open
	WeChatTemplates string `env:"WECHAT_TEMPLATES"`                 // a JSON file: which message template serves which purpose

	SealKeys SealKeys `env:"SEAL_KEYS"`
	IndexKey Key      `env:"INDEX_KEY"`
	CodeKey  Key      `env:"CODE_KEY"`

	Zone           *time.Location `env:"TIME_ZONE" envDefault:"Asia/Shanghai"`
	QuietHours     Hours          `env:"QUIET_HOURS" envDefault:"22:00-07:00"` // in which nobody is sent a reminder
	RemindersADay  int            `env:"REMINDERS_A_DAY" envDefault:"5"`       // for one person; notices of a change come on top
	LateRecordDays int            `env:"LATE_RECORD_DAYS" envDefault:"7"`      // after a meeting in which a 补签 may be asked for
	ReminderWork   int            `env:"REMINDER_WORKERS" envDefault:"1"`      // senders in this process; 0: other replicas send
	SessionIdle    time.Duration  `env:"SESSION_IDLE" envDefault:"720h"`
	SessionLife    time.Duration  `env:"SESSION_LIFE" envDefault:"4320h"`
	InvitationLife time.Duration  `env:"INVITATION_LIFE" envDefault:"72h"`

	KeepSessions    time.Duration `env:"KEEP_SESSIONS" envDefault:"720h"` // how long things are kept after their end; retention takes them daily
	KeepInvitations time.Duration `env:"KEEP_INVITATIONS" envDefault:"720h"`
	KeepSending     time.Duration `env:"KEEP_SENDING" envDefault:"4320h"`
	KeepHouseholds  time.Duration `env:"KEEP_HOUSEHOLDS" envDefault:"720h"`
	KeepAudit       time.Duration `env:"KEEP_AUDIT" envDefault:"26280h"`

	CodeStep   time.Duration `env:"CODE_STEP" envDefault:"15s"`
	CodeMargin time.Duration `env:"CODE_MARGIN" envDefault:"10s"`
	TypedStep  time.Duration `env:"TYPED_STEP" envDefault:"60s"`
}

// String is every variable with its value, a line each, as an operator may see
// them: of a secret it tells no more than that it is set.
func (s Settings) String() string {
	var b strings.Builder
	for _, v := range variables() {
		fmt.Fprintf(&b, "%s=%v\n", v.name, reflect.ValueOf(s).FieldByName(v.field).Interface())
	}
	return b.String()
}

// Problems is everything that is wrong with the settings, a sentence each that
// begins with the variable's name.
type Problems []string

func (p Problems) Error() string {
	return fmt.Sprintf("设置有 %d 处不对：\n  - %s", len(p), strings.Join(p, "\n  - "))
}

// variable is one setting as the environment knows it.
type variable struct {
	name, field, standard string
	secret                bool
}

func variables() []variable {
	var all []variable
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Settings]()) {
		_, secret := reflect.Zero(f.Type).Interface().(interface{ hidden() })
		all = append(all, variable{Prefix + f.Tag.Get("env"), f.Name, f.Tag.Get("envDefault"), secret})
	}
	return all
}

// notSettings are variables that begin like ours and belong to the scripts and tests.
var notSettings = regexp.MustCompile(`^DANGRI_(TEST_\w+|STORES_DIR|VULNDB)$`)

// Load reads the settings from an environment such as os.Environ(). A secret
// may stand in a file that …_FILE names. Everything that is wrong is told at
// once, as Problems: a value that cannot be read, a variable that does not
// exist and, in production, every stand-in.
func Load(environ []string) (Settings, error) {
	wrong := problems{}
	given := read(environ, wrong)
	var s Settings
	err := env.ParseWithOptions(&s, env.Options{Prefix: Prefix, Environment: given, FuncMap: map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[time.Location](): readZone,
	}})
	var unread env.AggregateError
	if errors.As(err, &unread) {
		for _, e := range unread.Errors {
			wrong.misread(e)
		}
	} else if err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	s.check(wrong)
	if len(wrong) > 0 {
		return Settings{}, wrong.list()
	}
	return s, nil
}

// read is the variables that are set, with secrets taken from their files.
func read(environ []string, wrong problems) map[string]string {
	given, files := map[string]string{}, map[string]string{}
	all := variables()
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, Prefix) || notSettings.MatchString(name) {
			continue
		}
		value = strings.TrimSpace(value)
		known := slices.IndexFunc(all, func(v variable) bool { return v.name == name || v.secret && v.name+"_FILE" == name })
		switch {
		case known < 0:
			wrong.add(name, "没有这个设置，请对照 .env.example 检查拼写")
		case value == "":
		case all[known].name == name:
			given[name] = value
		default:
			files[all[known].name] = value
		}
	}
	for name, path := range files {
		if given[name] != "" {
			wrong.add(name, "与 "+name+"_FILE 只能设置一个")
			continue
		}
		content, err := os.ReadFile(path)
		given[name] = strings.TrimSpace(string(content))
		if err != nil { // the path is not quoted: it may be the secret, put in the wrong variable
			wrong.add(name, fmt.Sprintf("%s_FILE 指向的文件读不出来（%v）", name, errors.Unwrap(err)))
		} else if given[name] == "" {
			wrong.add(name, name+"_FILE 指向的文件是空的")
		}
	}
	return given
}

func readZone(name string) (any, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, errors.New("没有这个时区，应为 Asia/Shanghai 这样的名称")
	}
	return *zone, nil
}

// check finds what is readable and yet wrong.
func (s *Settings) check(wrong problems) {
	wrong.unless(s.Environment == Development || s.Environment == Production, "ENV", "应为 development 或 production")
	wrong.unless(isListenAddr(s.Addr), "ADDR", "应为监听地址，如 :8080 或 127.0.0.1:8080")
	wrong.unless(isListenAddr(s.MetricsAddr), "METRICS_ADDR", "应为监听地址，如 127.0.0.1:9090")
	public, ok := isRoot(s.PublicURL)
	wrong.unless(ok, "PUBLIC_URL", "应为不带路径的网址，如 https://dj.example.cn")
	wrong.unless(s.MySQLDSN == "" || dsnForm.MatchString(s.MySQLDSN.Reveal()), "MYSQL_DSN", "应为 用户:密码@tcp(主机:3306)/数据库 的形式")
	store := s.Files.Endpoint != ""
	wrong.unless(store == (s.FilesKey != ""), "FILES_KEY", "照片存到对象存储（s3://…）时必须设置，否则不要设置")
	wrong.unless(store == (s.FilesSecret != ""), "FILES_SECRET", "照片存到对象存储（s3://…）时必须设置，否则不要设置")
	platform, ok := isRoot(s.WeChatBaseURL)
	wrong.unless(ok && (platform.Scheme == "https" || isLoopback(platform.Hostname())), "WECHAT_BASE_URL", "应为 https://api.weixin.qq.com，或本机的模拟器地址，如 http://127.0.0.1:8090")
	wrong.unless((s.WeChatAppID == "") == (s.WeChatAppSecret == ""), "WECHAT_APP_SECRET", "与 DANGRI_WECHAT_APP_ID 要么都设置，要么都不设置")
	wrong.unless((s.WeChatPushToken == "") == (s.WeChatAESKey == ""), "WECHAT_PUSH_TOKEN", "与 DANGRI_WECHAT_ENCODING_AES_KEY 要么都设置，要么都不设置")
	wrong.unless(s.WeChatAESKey == "" || aesKeyForm.MatchString(s.WeChatAESKey.Reveal()), "WECHAT_ENCODING_AES_KEY", "应为小程序后台给出的 43 个字母和数字")
	wrong.unless(slices.Contains([]string{"developer", "trial", "formal"}, s.WeChatState), "WECHAT_STATE", "应为 developer、trial 或 formal")
	wrong.unless(s.RemindersADay >= 1, "REMINDERS_A_DAY", "应至少为 1")
	wrong.unless(0 <= s.LateRecordDays && s.LateRecordDays <= 366, "LATE_RECORD_DAYS", "应在 0 到 366 之间")
	wrong.unless(0 <= s.ReminderWork && s.ReminderWork <= 16, "REMINDER_WORKERS", "应在 0 到 16 之间")
	s.checkKeys(wrong)
	s.checkTimes(wrong)
	if s.Environment == Production {
		wrong.unless(s.MySQLDSN != "", "MYSQL_DSN", "正式环境必须设置：不能用内置的 SQLite")
		wrong.unless(s.Files != FilesAt{}, "FILES", "正式环境必须设置：所有副本共用的文件夹，或对象存储 s3://…")
		wrong.unless(len(s.RedisAddr.Addrs) > 0, "REDIS_ADDR", "正式环境必须设置：不能用内置的 Redis")
		wrong.unless(s.WeChatAppID != "", "WECHAT_APP_ID", "正式环境必须设置：不能用微信模拟器")
		wrong.unless(s.WeChatTemplates != "", "WECHAT_TEMPLATES", "正式环境必须设置：写明小程序后台选用的消息模板")
		wrong.unless(public.Scheme == "https", "PUBLIC_URL", "正式环境必须是 https 网址")
	}
}

func (s *Settings) checkKeys(wrong problems) {
	keys := map[string][]Key{"INDEX_KEY": nil, "CODE_KEY": nil, "SEAL_KEYS": s.SealKeys.keys()}
	if s.IndexKey != nil {
		keys["INDEX_KEY"] = []Key{s.IndexKey}
	}
	if s.CodeKey != nil {
		keys["CODE_KEY"] = []Key{s.CodeKey}
	}
	some := s.SealKeys != nil || s.IndexKey != nil || s.CodeKey != nil
	uses := map[string]string{}
	for _, name := range []string{"SEAL_KEYS", "INDEX_KEY", "CODE_KEY"} {
		if s.Environment == Production {
			wrong.unless(keys[name] != nil, name, "正式环境必须设置，可用 openssl rand -base64 32 生成")
		}
		wrong.unless(keys[name] != nil || !some, name, "三种密钥要么都设置，要么都不设置")
		for _, k := range keys[name] {
			wrong.unless(s.Environment != Production || !k.isExample(), name, "不能用示例密钥，请用 openssl rand -base64 32 生成")
			wrong.unless(uses[string(k)] == "", name, "同一个密钥不能用两次：已用于 "+Prefix+uses[string(k)])
			uses[string(k)] = name
		}
	}
}

func (s *Settings) checkTimes(wrong problems) {
	seconds := func(d, low, high time.Duration) bool { return low <= d && d <= high && d%time.Second == 0 }
	wrong.unless(seconds(s.Drain, 0, 30*time.Second), "DRAIN", "应在 0s 到 30s 之间，且为整秒")
	wrong.unless(s.SessionIdle >= time.Minute, "SESSION_IDLE", "应不少于 1m")
	wrong.unless(s.SessionLife >= s.SessionIdle, "SESSION_LIFE", "应不短于 DANGRI_SESSION_IDLE")
	wrong.unless(s.InvitationLife >= time.Minute, "INVITATION_LIFE", "应不少于 1m")
	for name, d := range map[string]time.Duration{"KEEP_SESSIONS": s.KeepSessions, "KEEP_INVITATIONS": s.KeepInvitations, "KEEP_SENDING": s.KeepSending, "KEEP_HOUSEHOLDS": s.KeepHouseholds} {
		wrong.unless(d >= 24*time.Hour, name, "应不少于 24h")
	}
	wrong.unless(s.KeepAudit >= 180*24*time.Hour, "KEEP_AUDIT", "应不少于 4320h：审计记录依法至少保存六个月")
	wrong.unless(seconds(s.CodeStep, 5*time.Second, 10*time.Minute), "CODE_STEP", "应在 5s 到 10m 之间，且为整秒")
	wrong.unless(seconds(s.CodeMargin, 0, 10*time.Minute), "CODE_MARGIN", "应在 0s 到 10m 之间，且为整秒")
	wrong.unless(seconds(s.TypedStep, 15*time.Second, 10*time.Minute), "TYPED_STEP", "应在 15s 到 10m 之间，且为整秒")
}

var (
	dsnForm    = regexp.MustCompile(`^[^:@/]+(:.*)?@(tcp|unix)\([^)]+\)/[^/?]+(\?.*)?$`)
	aesKeyForm = regexp.MustCompile(`^[0-9A-Za-z]{43}$`)
)

func isListenAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// isRoot says whether an address is http or https and nothing but a host.
func isRoot(address string) (*url.URL, bool) {
	u, err := url.Parse(address)
	if err != nil {
		return &url.URL{}, false
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host}
	return u, (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && strings.TrimSuffix(address, "/") == bare.String()
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// problems is the first thing that is wrong with each variable.
type problems map[string]string

func (p problems) add(name, sentence string) {
	if p[name] == "" {
		p[name] = sentence
	}
}

func (p problems) unless(right bool, name, sentence string) {
	if !right {
		p.add(Prefix+name, sentence)
	}
}

// misread tells of a value that is not of its field's type, without the value.
func (p problems) misread(err error) {
	var e env.ParseError
	if !errors.As(err, &e) {
		p.add(Prefix, err.Error())
		return
	}
	all := variables()
	name := all[slices.IndexFunc(all, func(v variable) bool { return v.field == e.Name })].name
	switch e.Type {
	case reflect.TypeFor[bool]():
		p.add(name, "应为 true 或 false")
	case reflect.TypeFor[int]():
		p.add(name, "应为整数")
	case reflect.TypeFor[time.Duration]():
		p.add(name, "应为时长，如 15s、10m、720h")
	case reflect.TypeFor[slog.Level]():
		p.add(name, "应为 debug、info、warn 或 error")
	case reflect.TypeFor[[]netip.Prefix]():
		p.add(name, "应为逗号分隔的网段，如 10.0.0.0/8,127.0.0.1/32")
	default:
		p.add(name, e.Err.Error()) // the types of this package and readZone quote no value
	}
}

// list is the problems in the order of the settings, then those of no setting.
func (p problems) list() Problems {
	var out Problems
	for _, v := range variables() {
		if sentence, ok := p[v.name]; ok {
			out = append(out, v.name+"："+sentence)
			delete(p, v.name)
		}
	}
	strangers := len(out)
	for name, sentence := range p {
		out = append(out, name+"："+sentence)
	}
	slices.Sort(out[strangers:])
	return out
}
