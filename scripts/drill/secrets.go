package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dangri/scripts/rig"
)

// secrets searches what the drills before it left behind, and what a meeting
// leaves now, for what nobody is to read there: the logs, Redis, the answers to
// people whom it does not concern, and a backup. In each place it first finds
// what was planted there.
func (s *stage) secrets(ctx context.Context) error {
	oneCode := s.product.On(s.stores.DSN, s.stores.Redis).With("DANGRI_CODE_STEP=5m") // so that what the screens show is what is searched for
	if err := s.openProduct(ctx, oneCode); err != nil {
		return err
	}
	sealed, people := s.canaries()
	if err := s.enrol(ctx); err != nil {
		return err
	}
	s.arrive(ctx, crowd{people: s.people(500), rate: 500, patient: patience})
	if err := s.answers(sealed, people); err != nil {
		return err
	}
	for person := range 4 * s.town.PerBranch() { // so that Redis holds boards and sessions of just now
		s.ask(s.replicas[person%len(s.replicas)], http.MethodGet, "/v1/home", person)
		s.ask(s.replicas[0], http.MethodGet, fmt.Sprintf("/v1/activities/%d/board", s.meeting.Activity(person)), s.town.Secretary(person))
	}
	if err := s.logs(people); err != nil {
		return err
	}
	if err := s.redis(ctx, sealed, people); err != nil {
		return err
	}
	return s.backups(ctx, sealed)
}

// enrolled are the branches whose people have phone numbers on the roster.
const enrolled = 4

// enrol has the secretaries bring their rosters, with a phone number for
// everybody.
func (s *stage) enrol(ctx context.Context) error {
	for _, secretary := range s.town.Secretaries()[:enrolled] {
		sheet := "姓名,党员类别,手机号\n"
		for person := secretary; person < secretary+s.town.PerBranch(); person++ {
			sheet += fmt.Sprintf("%s,正式党员,%s\n", s.town.Name(person), s.town.Phone(person))
		}
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile("file", "名册.csv")
		if err == nil {
			_, _ = io.WriteString(part, sheet) // memory takes everything
			err = form.Close()
		}
		if err != nil {
			return fmt.Errorf("make roster: %w", err)
		}
		url := fmt.Sprintf("http://%s/v1/organisations/%d/roster-imports", s.replicas[0].address(), s.town.Branch(secretary))
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, &body)
		if err != nil {
			return fmt.Errorf("bring roster: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+s.town.Token(secretary))
		request.Header.Set("Content-Type", form.FormDataContentType())
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("bring roster: %w", err)
		}
		said, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("bring roster: %d %s %w", response.StatusCode, said, err)
		}
	}
	var phones int64
	err := s.stores.DB.WithContext(ctx).Table("member_phones").Count(&phones).Error
	s.check(err == nil && phones == int64(enrolled*s.town.PerBranch()), "书记登记了 %d 人的手机号", phones)
	return err
}

// canaries are what is searched for: what is kept as a secret wherever it is,
// and the same with names and openids.
func (s *stage) canaries() (sealed, people canaries) {
	sealed, people = canaries{}, canaries{}
	s.sealed(sealed)
	s.sealed(people)
	for person := range s.town.Size() {
		people.add("姓名", s.town.Name(person))
		people.add("openid", s.town.OpenID(person))
	}
	return sealed, people
}

// sealed adds tokens, phone numbers in clear and as mere digests, what the
// screens show, and the keys of the installation.
func (s *stage) sealed(c canaries) {
	for person := range s.town.Size() {
		c.add("令牌", s.town.Token(person))
		if person >= enrolled*s.town.PerBranch() {
			continue
		}
		phone := s.town.Phone(person)
		sum := sha256.Sum256([]byte(phone)) // who has it tries all numbers in a minute
		for _, guise := range []string{phone, hex.EncodeToString(sum[:]), base64.RawURLEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString([]byte(phone))} {
			c.add("手机号", guise)
		}
	}
	for _, secretary := range s.town.Secretaries() {
		c.add("签到码", s.codes.now.Load().Of(secretary))
	}
	for _, variable := range s.product.Env {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasSuffix(name, "_KEY") || strings.HasSuffix(name, "_KEYS") {
			c.add("密钥", value[strings.LastIndex(value, ":")+1:])
		}
	}
}

// logs searches everything that any process said.
func (s *stage) logs(c canaries) error {
	planted := filepath.Join(s.dir, "dangri-planted.log")
	if err := os.WriteFile(planted, []byte(s.bait()), 0o600); err != nil {
		return fmt.Errorf("plant a log: %w", err)
	}
	search := func() (found []string, files, size int, err error) {
		paths, err := filepath.Glob(filepath.Join(s.dir, "dangri-*.log"))
		for _, path := range paths {
			var text []byte
			if text, err = os.ReadFile(path); err != nil {
				break
			}
			size += len(text)
			found = append(found, c.in(text)...)
		}
		return found, len(paths), size, err
	}
	found, _, _, err := search()
	if err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	s.check(len(found) == 6, "对照：日志里埋下的六样找得到：%s", some(found))
	if err := os.Remove(planted); err != nil {
		return fmt.Errorf("take the planted log away: %w", err)
	}
	found, files, size, err := search()
	if err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	s.check(len(found) == 0 && size > 0, "%d 份日志（%d KiB）里没有令牌、手机号、签到码、密钥、openid 和姓名：%s", files, size>>10, some(found))
	return nil
}

// bait is a line with one of each kind.
func (s *stage) bait() string {
	key := s.product.Env[slices.IndexFunc(s.product.Env, func(v string) bool { return strings.HasPrefix(v, "DANGRI_CODE_KEY=") })]
	return fmt.Sprintf(`{"url":"/v1/home?token=%s","phone":"%s","code":"%s","env":"%s","open_id":"%s","name":"%s"}`,
		s.town.Token(7), s.town.Phone(7), s.codes.now.Load().Of(7), key, s.town.OpenID(7), s.town.Name(7))
}

// copyLife is how long Redis may keep a copy that tells who somebody is.
const copyLife = time.Minute

// redis searches the keys and what they hold. Names and openids may stand in
// copies of sessions and boards alone, which are gone within a minute.
func (s *stage) redis(ctx context.Context, sealed, people canaries) error {
	client := s.stores.RedisClient()
	defer func() { _ = client.Close() }()
	search := func() (inKeys, inValues []string, keys int, err error) {
		all, err := client.Keys(ctx, "*").Result()
		for _, key := range all {
			inKeys = append(inKeys, people.in([]byte(key))...)
			life := client.TTL(ctx, key).Val()
			value, err := client.Get(ctx, key).Result() // nothing but strings
			if life == -2 {
				continue // it has ended meanwhile
			}
			if err != nil {
				return nil, nil, 0, fmt.Errorf("read %s: %w", key, err)
			}
			c := people
			if copied := strings.Contains(key, ":session:") || strings.Contains(key, ":board:"); copied && life > 0 && life <= copyLife {
				c = sealed
			}
			inValues = append(inValues, c.in([]byte(value))...)
		}
		return inKeys, inValues, len(all), err
	}
	for key, value := range map[string]string{"planted:" + s.bait(): "1", "planted:value": s.bait(), "planted:session:1": s.bait()} {
		if err := client.Set(ctx, key, value, 0).Err(); err != nil {
			return fmt.Errorf("plant in Redis: %w", err)
		}
	}
	if err := client.Expire(ctx, "planted:session:1", copyLife).Err(); err != nil {
		return fmt.Errorf("plant in Redis: %w", err)
	}
	inKeys, inValues, _, err := search()
	if err != nil {
		return err
	}
	s.check(len(inKeys) == 6 && len(inValues) == 6+4, "对照：Redis 的键和值里埋下的都找得到，会话的副本里除了姓名和 openid：%d 和 %d 处", len(inKeys), len(inValues))
	if err := client.Del(ctx, "planted:"+s.bait(), "planted:value", "planted:session:1").Err(); err != nil {
		return fmt.Errorf("take away what was planted: %w", err)
	}
	inKeys, inValues, keys, err := search()
	if err != nil {
		return err
	}
	s.check(len(inKeys) == 0 && keys > 0, "Redis 的 %d 个键里没有：%s", keys, some(inKeys))
	s.check(len(inValues) == 0, "值里也没有；姓名和 openid 只在一分钟内到期的会话和会场副本里：%s", some(inValues))
	return nil
}

// backups searches what scripts/deploy/backup.sh writes. Names and openids are
// what a registry is made of; the rest is to be sealed or not there at all.
func (s *stage) backups(ctx context.Context, sealed canaries) error {
	db := s.stores.DB.WithContext(ctx)
	for _, statement := range []string{"DROP TABLE IF EXISTS planted", "CREATE TABLE planted (words TEXT, bytes BLOB)"} {
		if err := db.Exec(statement).Error; err != nil {
			return fmt.Errorf("plant a table: %w", err)
		}
	}
	if err := db.Exec("INSERT INTO planted VALUES (?, ?)", s.bait(), s.bait()).Error; err != nil {
		return fmt.Errorf("plant a row: %w", err)
	}
	search := func(name string) (found []string, size int, err error) {
		file := filepath.Join(s.dir, name)
		if err := s.script(ctx, "backup.sh", file); err != nil {
			return nil, 0, err
		}
		packed, err := os.Open(file)
		if err != nil {
			return nil, 0, fmt.Errorf("open backup: %w", err)
		}
		defer func() { _ = packed.Close() }()
		plain, err := gzip.NewReader(packed)
		if err != nil {
			return nil, 0, fmt.Errorf("open backup: %w", err)
		}
		text, err := io.ReadAll(plain)
		if err != nil {
			return nil, 0, fmt.Errorf("read backup: %w", err)
		}
		if !bytes.Contains(text, []byte("INSERT INTO `member_phones`")) {
			return nil, 0, fmt.Errorf("the backup lacks the phone numbers, sealed as they are")
		}
		return sealed.in(text), len(text), nil
	}
	found, _, err := search(fmt.Sprintf("planted-%d.sql.gz", s.turn))
	if err != nil {
		return err
	}
	s.check(len(found) == 8, "对照：备份里埋下的找得到，写成文字四处，写成十六进制四处：%s", some(found))
	if err := db.Exec("DROP TABLE planted").Error; err != nil {
		return fmt.Errorf("take the planted table away: %w", err)
	}
	found, size, err := search(fmt.Sprintf("searched-%d.sql.gz", s.turn))
	if err != nil {
		return err
	}
	s.check(len(found) == 0, "备份（%d KiB）里没有令牌、手机号、签到码和密钥：%s", size>>10, some(found))
	return nil
}

// answers asks for everything of the first branch and its people as others:
// who is of another branch, whoever has not signed in, and who is of the branch
// and holds no post. Only its secretary is told names, numbers and codes.
func (s *stage) answers(sealed, people canaries) error {
	paths, err := s.paths()
	if err != nil {
		return err
	}
	const secretary = 0
	plain, stranger, neighbour := s.town.PerBranch()-1, 2*s.town.PerBranch()-1, s.town.PerBranch()
	search := func(token string, c canaries) (found []string) {
		w := rig.NewWire(s.replicas[0].address())
		defer w.Close()
		for _, path := range paths {
			status, body, err := w.Do(rig.Request(http.MethodGet, path, token, nil))
			if err != nil {
				found = append(found, fmt.Sprintf("%s: %v", path, err))
				continue
			}
			for _, leak := range c.in(body) {
				found = append(found, fmt.Sprintf("%s: %d %s", path, status, leak))
			}
		}
		return found
	}
	own := search(s.town.Token(secretary), people)
	kinds := map[string]bool{}
	for _, kind := range []string{"姓名", "手机号", "签到码"} {
		kinds[kind] = slices.ContainsFunc(own, func(leak string) bool { return strings.Contains(leak, " "+kind+" ") })
	}
	s.check(kinds["姓名"] && kinds["手机号"] && kinds["签到码"], "对照：本支部书记问 %d 个网址，姓名、手机号、签到码都看得到，找得到 %d 处", len(paths), len(own))
	for _, who := range []struct {
		name, token string
		canaries    canaries
	}{
		{"外支部书记", s.town.Token(neighbour), people}, {"外支部党员", s.town.Token(stranger), people},
		{"没有登录的人", "", people}, {"本支部没有职务的党员", s.town.Token(plain), sealed},
	} {
		found := search(who.token, who.canaries)
		s.check(len(found) == 0, "%s问同样的，什么也看不到：%s", who.name, some(found))
	}

	var echoed []string
	w := rig.NewWire(s.replicas[0].address())
	defer w.Close()
	token, phone, code := s.town.Token(plain), s.town.Phone(1), s.codes.now.Load().Of(plain)
	body := fmt.Appendf(nil, `{"code":"%s","%s":"%s","nonce":"%s"}`, phone, token, s.town.OpenID(1), code)
	for _, request := range [][]byte{
		rig.Request(http.MethodGet, "/v1/home?token="+token+"&phone="+phone, "", nil),
		rig.Request(http.MethodGet, "/v1/members/"+phone+"/phone", token, nil),
		rig.Request(http.MethodGet, "/v1/activities/"+code, token, nil),
		rig.Request(http.MethodGet, "/"+token, s.town.OpenID(1), nil),
		rig.Request(http.MethodPost, "/v1/check-ins", token, body),
		rig.Request(http.MethodPost, "/v1/me/binding", token, fmt.Appendf(nil, `{"phone_code":"%s","invitation":"%s"}`, phone, code)),
		rig.Request(http.MethodPost, "/v1/sessions", "", fmt.Appendf(nil, `{"code":"%s"}`, s.town.OpenID(1))),
	} {
		status, body, err := w.Do(request)
		if err != nil {
			return fmt.Errorf("ask wrongly: %w", err)
		}
		for _, leak := range people.in(body) {
			echoed = append(echoed, fmt.Sprintf("%d %s", status, leak))
		}
		if status < 400 {
			echoed = append(echoed, fmt.Sprintf("%d to %s", status, request))
		}
	}
	s.check(len(echoed) == 0, "写错地方的令牌、手机号、签到码，拒绝时不复述：%s", some(echoed))
	return nil
}

// paths are all that can be asked of the first branch, its meeting and one of
// its members, as the published interface has it, streams apart: they do not end.
func (s *stage) paths() (paths []string, err error) {
	raw, err := os.ReadFile(filepath.Join("api", "openapi.json"))
	if err != nil {
		return nil, fmt.Errorf("read the interface: %w", err)
	}
	var published struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(raw, &published); err != nil {
		return nil, fmt.Errorf("read the interface: %w", err)
	}
	values := strings.NewReplacer("{activity_id}", fmt.Sprint(s.meeting.Activity(0)), "{organisation_id}", "1", "{branch_id}", "1",
		"{member_id}", "2", "{quarter}", "2026Q1")
	for _, path := range slices.Sorted(maps.Keys(published.Paths)) {
		if _, reads := published.Paths[path]["get"]; !reads || !strings.Contains(path, "{") || strings.HasSuffix(path, "/stream") {
			continue
		}
		path = values.Replace(path)
		if strings.Contains(path, "late-record-figures") {
			path += "?month=" + time.Now().Format("2006-01")
		}
		if !strings.Contains(path, "{") {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// canaries are values by their first bytes, each with its kind.
type canaries map[string][]canary

type canary struct{ kind, value string }

const canaryHead = 10 // none is shorter

// add takes a value in, and the same in hexadecimal, as a dump writes bytes.
func (c canaries) add(kind, value string) {
	written := hex.EncodeToString([]byte(value))
	for _, v := range slices.Compact([]string{value, written, strings.ToUpper(written)}) { // of digits alone both are the same
		head := v[:canaryHead]
		c[head] = append(c[head], canary{kind, v})
	}
}

// in are the places in a text where one of them stands.
func (c canaries) in(text []byte) (found []string) {
	for i := 0; i+canaryHead <= len(text); i++ {
		for _, one := range c[string(text[i:i+canaryHead])] {
			if bytes.HasPrefix(text[i:], []byte(one.value)) {
				around := text[max(0, i-40):min(len(text), i+len(one.value)+10)]
				found = append(found, fmt.Sprintf("有 %s ：%s", one.kind, strings.ToValidUTF8(string(around), "")))
			}
		}
	}
	return found
}
