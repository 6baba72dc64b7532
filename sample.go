package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"dangri/model"
	"dangri/scripts/demo"
	"dangri/service"
)

// newStory is the story as it can be told in an invented district.
func newStory(a *app, hands *demo.Clock, sample *service.Sample, out io.Writer, once bool) *demo.Story {
	s := &demo.Story{Teller: newTeller(out, once), Clock: hands, Simulator: a.platform, Dir: a.settings.DataDir, Liaisons: map[string]demo.Person{},
		Day: clock().In(a.settings.Zone), Branch: demo.Branch{Name: sample.Branch}}
	for _, row := range sample.Roster { // 姓名, 手机号, 党支部, 党小组, 党员类别, 领导班子成员, 职务
		p := demo.Person{Name: row[0], Phone: row[1], Post: row[6], Votes: row[4] == model.MemberStatusNames[model.FullMember]}
		switch {
		case row[2] != sample.Branch:
			if community, ok := strings.CutSuffix(row[2], "社区党支部"); ok && p.Post == "" {
				s.Liaisons[community+"社区"] = p
			}
			if s.Stranger.Name == "" && p.Post == "" {
				s.Stranger = p
			}
		case p.Post == model.PostKindNames[model.Secretary]:
			s.Branch.Secretary = p
		default:
			s.Branch.Members = append(s.Branch.Members, p)
		}
	}
	s.Sheets = []demo.Sheet{
		sheetOf(fmt.Sprintf("组织名单（%d 个组织，其中 100 个党支部）", len(sample.Organisations)), len(sample.Organisations), sample.WriteOrganisations,
			func(ctx context.Context, f service.ImportFile) (*service.ImportReport, error) {
				return a.services.Imports.Organisations(ctx, model.Operator(), f)
			}),
		sheetOf(fmt.Sprintf("党员名册（%d 人）", len(sample.Roster)), len(sample.Roster), sample.WriteRoster,
			func(ctx context.Context, f service.ImportFile) (*service.ImportReport, error) {
				return a.services.Imports.Roster(ctx, model.Operator(), 0, f)
			}),
	}
	s.Appoint = func(ctx context.Context, communityID, memberID uint64) error {
		_, err := a.services.Posts.Grant(ctx, model.Operator(), service.PostInput{MemberID: memberID, OrganisationID: communityID, Kind: model.CommunityLiaison})
		return err
	}
	// What the audit has is sealed at the time at which it was written. Where
	// that fails, verifying tells.
	hands.Leaving = func() { _ = a.services.Audit.SealNewest(context.Background()) }
	s.Verify = func(ctx context.Context) (entries int, wrong []string, err error) {
		if err := a.services.Audit.SealNewest(ctx); err != nil {
			return 0, nil, err
		}
		r, err := a.services.Audit.Verify(ctx, "")
		if err != nil {
			return 0, nil, err
		}
		for _, p := range r.Problems {
			wrong = append(wrong, p.String())
		}
		return r.Entries, wrong, nil
	}
	return s
}

// sheetOf is what write writes, for take to import.
func sheetOf(told string, rows int, write func(io.Writer) error, take func(context.Context, service.ImportFile) (*service.ImportReport, error)) demo.Sheet {
	return demo.Sheet{Told: told, Rows: rows, Take: func(ctx context.Context, progress func(done, total int)) (added, unchanged int, err error) {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return 0, 0, err
		}
		report, err := take(ctx, service.ImportFile{Data: bytes.NewReader(b.Bytes()), Size: int64(b.Len()), Progress: progress})
		if err != nil {
			return 0, 0, err
		}
		return report.Added, report.Unchanged, nil
	}}
}

// newTeller tells a terminal in colours and at reading pace, a file plainly.
func newTeller(out io.Writer, once bool) *demo.Teller {
	t := &demo.Teller{Out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		t.Terminal = err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	if t.Terminal && !once {
		t.Pace = 150 * time.Millisecond
	}
	return t
}
