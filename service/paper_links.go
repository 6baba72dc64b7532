package service

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"gorm.io/gorm"

	"dangri/model"
)

// PaperLinks open one paper on a computer as its maker may see it on the phone:
// papers are printed in an office, where nobody signs in with WeChat.
type PaperLinks struct {
	db       *gorm.DB
	sessions *Sessions
	limits   *limits
	codes    codes
	now      func() time.Time
}

const paperLinkLife = 10 * time.Minute

// PaperLinkInput says which paper.
type PaperLinkInput struct {
	Path string `json:"path" maxLength:"160" pattern:"^/v1/([a-z-]+/|[0-9]+/|[0-9]{4}Q[1-4]/)*[a-z-]+[.](html|xlsx|zip)([?][0-9A-Za-z_=&-]+)?$" doc:"地址：打印页、Excel 或资料包的，与小程序自己取它时相同，如 /v1/activities/12/sheet.html"`
}

// PaperLink is the address of a paper for a computer.
type PaperLink struct {
	URL    string    `json:"url" doc:"复制出来，在电脑的浏览器里打开；# 后面的部分不会发给服务器"`
	EndsAt time.Time `json:"ends_at" doc:"这个网址何时失效：十分钟后"`
}

// Make makes the address of one paper for a computer's browser. For ten
// minutes it opens this paper and nothing else, and shows what its maker may
// see at that moment; it is dead before when the session that made it ends, so
// also when the maker signs in anew. Opening the paper is audited as if the maker
// opened it. Whether there is such a paper shows only when the address is opened.
// Thirty a minute for one person.
func (s *PaperLinks) Make(ctx context.Context, actor *model.Actor, in PaperLinkInput) (*PaperLink, error) {
	if err := s.limits.take(ctx, "paper_link", strconv.FormatUint(actor.AccountID, 10), redis_rate.PerMinute(30)); err != nil {
		return nil, err
	}
	now := s.now()
	ends := now.Add(paperLinkLife).Truncate(time.Second)
	paper, _, _ := strings.Cut(in.Path, "?")
	pass := s.codes.sign("paper_pass", in.Path, passSize, actor.SessionID, uint64(ends.Unix()))
	if err := auditBy(s.db.WithContext(ctx), now, actor, "link_paper", "session", actor.SessionID, "ok", map[string]any{"path": paper}); err != nil {
		return nil, err
	}
	return &PaperLink{URL: s.codes.settings.PublicURL + "/paper#" + pass + "@" + in.Path, EndsAt: ends}, nil
}

// Actor is who made the pass, with the rights of today, if it is good for just
// this path and query.
func (s *PaperLinks) Actor(ctx context.Context, pass, path string) (*model.Actor, error) {
	n, ok := s.codes.read("paper_pass", path, passSize, pass, 2)
	if !ok || !s.now().Before(time.Unix(int64(n[1]), 0)) {
		return nil, model.ErrPaperLink
	}
	return s.sessions.lent(ctx, n[0])
}
