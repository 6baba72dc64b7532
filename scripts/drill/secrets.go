package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// secrets searches what the drills before it left behind, and what a meeting
// leaves now, for tokens, openids and names.
func (s *stage) secrets(ctx context.Context) error {
	if err := s.openProduct(ctx, s.product.On(s.stores.DSN, s.stores.Redis)); err != nil {
		return err
	}
	s.arrive(ctx, crowd{people: s.people(500), rate: 500, patient: patience})
	tokens := map[string]bool{}
	for i := range s.town.Size() {
		tokens[s.town.Token(i)] = true
	}
	planted := fmt.Appendf(nil, `{"msg":"request","url":"/v1/home?token=%s"}`+"\n"+`{"open_id":"rig-openid-000001"}`+"\n"+`{"name":"党员000001"}`, s.town.Token(7))
	s.check(len(leaks(planted, tokens)) == 3, "对照：埋下的三处都找得到")
	logs, err := filepath.Glob(filepath.Join(s.dir, "dangri-*.log"))
	if err != nil {
		return fmt.Errorf("list logs: %w", err)
	}
	var found []string
	size := 0
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		size += len(text)
		found = append(found, leaks(text, tokens)...)
	}
	s.check(len(found) == 0 && size > 0, "%d 份日志（%d KiB）里没有令牌、openid 和姓名：%s", len(logs), size>>10, some(found))
	client := s.stores.RedisClient()
	defer func() { _ = client.Close() }()
	keys, err := client.Keys(ctx, "*").Result()
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	found = nil
	for _, k := range keys {
		found = append(found, leaks([]byte(k), tokens)...)
	}
	s.check(len(found) == 0 && len(keys) > 0, "Redis 的 %d 个键里也没有：%s", len(keys), some(found))
	return nil
}

var (
	word     = regexp.MustCompile(`[0-9A-Za-z_-]{43}`)
	personal = regexp.MustCompile(`rig-openid-\d+|党员\d{6}`)
)

// leaks are the lines that hold what nobody is to read.
func leaks(text []byte, tokens map[string]bool) (found []string) {
	for line := range bytes.Lines(text) {
		leaked := personal.Match(line)
		for _, w := range word.FindAll(line, -1) {
			leaked = leaked || tokens[string(w)]
		}
		if leaked {
			found = append(found, string(line))
		}
	}
	return found
}
