package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v3"

	"dangri/model"
	"dangri/service"
)

// commands of who works on the machine itself.
func adminCommands() []*cli.Command {
	member := &cli.Uint64Flag{Name: "member", Usage: "党员的编号", Required: true}
	return []*cli.Command{
		{Name: "import", Usage: "导入名册或组织（.xlsx、.csv）：全部正确才写入", ArgsUsage: "文件",
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: "dry-run", Usage: "只检查，不写入"},
				&cli.BoolFlag{Name: "organisations", Usage: "文件是组织表；不写则是名册"},
				&cli.Uint64Flag{Name: "branch", Usage: "名册只属于这个党支部；不写则按“党支部”一栏"},
			}, Action: withServices(importFile)},
		{Name: "admin", Usage: "授权、邀请码、解除绑定", Commands: []*cli.Command{
			{Name: "grant", Usage: "任命职务，第一位系统管理员由此产生", Flags: []cli.Flag{member,
				&cli.Uint64Flag{Name: "organisation", Usage: "任职的组织的编号", Required: true},
				&cli.StringFlag{Name: "post", Usage: "secretary、committee_member、group_leader、community_liaison、supervisor、administrator", Required: true},
			}, Action: withServices(func(ctx context.Context, c *cli.Command, s *service.Services) error {
				return show(s.Posts.Grant(ctx, model.Operator(), service.PostInput{
					MemberID: c.Uint64("member"), OrganisationID: c.Uint64("organisation"), Kind: model.PostKind(c.String("post"))}))
			})},
			{Name: "invite", Usage: "给党员发一次性邀请码", Flags: []cli.Flag{member}, Action: withServices(func(ctx context.Context, c *cli.Command, s *service.Services) error {
				return show(s.Bindings.Invite(ctx, model.Operator(), c.Uint64("member")))
			})},
			{Name: "unbind", Usage: "解除党员的微信绑定，并退出其所有登录", Flags: []cli.Flag{member}, Action: withServices(func(ctx context.Context, c *cli.Command, s *service.Services) error {
				return s.Bindings.Unbind(ctx, model.Operator(), c.Uint64("member"))
			})},
			{Name: "organisations", Usage: "列出组织（不写上级则从根开始）", Flags: []cli.Flag{&cli.Uint64Flag{Name: "under", Usage: "上级组织的编号"}},
				Action: withServices(func(ctx context.Context, c *cli.Command, s *service.Services) error {
					return eachPage(func(cursor string) (string, error) {
						page, err := s.Organisations.List(ctx, model.Operator(), c.Uint64("under"), cursor, 100)
						if err != nil {
							return "", err
						}
						for _, o := range page.Items {
							fmt.Printf("%d\t%s\t%s\n", o.ID, model.OrganisationKindNames[o.Kind], o.Name)
						}
						return page.Next, nil
					})
				})},
			{Name: "members", Usage: "列出党支部的党员", Flags: []cli.Flag{&cli.Uint64Flag{Name: "branch", Usage: "党支部的编号", Required: true}},
				Action: withServices(func(ctx context.Context, c *cli.Command, s *service.Services) error {
					return eachPage(func(cursor string) (string, error) {
						page, err := s.Members.List(ctx, model.Operator(), c.Uint64("branch"), cursor, 100)
						if err != nil {
							return "", err
						}
						for _, m := range page.Items {
							fmt.Printf("%d\t%s\t%s\n", m.ID, m.Name, model.MemberStatusNames[m.Status])
						}
						return page.Next, nil
					})
				})},
		}},
	}
}

// withServices is a command that works on the installation of the settings.
func withServices(do func(context.Context, *cli.Command, *service.Services) error) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		settings, log, err := loaded()
		if err != nil {
			return err
		}
		a, err := open(ctx, settings, log, clock)
		if err != nil {
			return err
		}
		defer a.close()
		err = do(ctx, c, a.services)
		// Where no replica runs, nobody else seals in time what was just done.
		return say(errors.Join(err, a.services.Audit.SealNewest(ctx)))
	}
}

// say puts a refusal into words for a terminal.
func say(err error) error {
	var e *model.Error
	if !errors.As(err, &e) {
		return err
	}
	text := e.Message
	if problems, ok := e.Details["problems"].([]service.RowProblem); ok {
		for _, p := range problems {
			text += "\n  " + p.String()
		}
		text += fmt.Sprintf("\n共 %v 处问题，没有写入任何内容。", e.Details["problem_count"])
	}
	return errors.New(text)
}

func importFile(ctx context.Context, c *cli.Command, s *service.Services) error {
	if c.Args().Len() != 1 {
		return errors.New("请写一个文件，例如：dangri import --dry-run 名册.xlsx")
	}
	f, err := os.Open(c.Args().First())
	if err != nil {
		return errors.New("打不开文件 " + c.Args().First())
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("size of the file: %w", err)
	}
	var bar *progressbar.ProgressBar
	sheet := service.ImportFile{Data: f, Size: info.Size(), DryRun: c.Bool("dry-run"), Progress: func(done, total int) {
		if bar == nil {
			bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("写入"), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set(done) // a bar that cannot be drawn stops no import
	}}
	if c.Bool("organisations") {
		return show(s.Imports.Organisations(ctx, model.Operator(), sheet))
	}
	return show(s.Imports.Roster(ctx, model.Operator(), c.Uint64("branch"), sheet))
}

// eachPage calls next with each cursor until there is none.
func eachPage(next func(cursor string) (string, error)) error {
	for cursor := ""; ; {
		var err error
		if cursor, err = next(cursor); err != nil || cursor == "" {
			return err
		}
	}
}

func show(v any, err error) error {
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
