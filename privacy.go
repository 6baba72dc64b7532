package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v3"

	"dangri/model"
	"dangri/service"
)

// privacyCommands are those about the audit and about how long things are kept.
func privacyCommands() []*cli.Command {
	return []*cli.Command{
		{Name: "audit", Usage: "审计记录", Commands: []*cli.Command{
			{Name: "verify", Usage: "核对审计记录没有被改动、删除或插入",
				Flags:  []cli.Flag{&cli.StringFlag{Name: "head", Usage: "上次核对时给出的链尾；有了它，才看得出末尾被截断"}},
				Action: withServices(verifyAudit)},
			{Name: "export", Usage: "输出全部审计记录，一行一条 JSON", Action: withServices(func(ctx context.Context, _ *cli.Command, s *service.Services) error {
				return s.Audit.Export(ctx, model.Operator(), os.Stdout)
			})},
		}},
		{Name: "retention", Usage: "清除已过保存期限的数据（服务每天夜里也会自动清除）",
			Flags: []cli.Flag{&cli.BoolFlag{Name: "dry-run", Usage: "只看要清除多少"}}, Action: withServices(retain)},
	}
}

func retain(ctx context.Context, c *cli.Command, s *service.Services) error {
	act, did := s.Retention.Apply, "已清除"
	if c.Bool("dry-run") {
		act, did = s.Retention.Plan, "将清除"
	}
	lines, err := act(ctx)
	for _, l := range lines {
		fmt.Fprintf(c.Root().Writer, "%s %d 条%s（%s 以前的）%s\n", did, l.Rows, l.Kind, l.Until.Format(time.DateOnly), l.Note)
	}
	return err
}

func verifyAudit(ctx context.Context, c *cli.Command, s *service.Services) error {
	r, err := s.Audit.Verify(ctx, c.String("head"))
	if err != nil {
		return err
	}
	out := c.Root().Writer
	for _, p := range r.Problems {
		fmt.Fprintln(out, "✗", p)
	}
	fmt.Fprintf(out, "%d 条无误", r.Entries)
	if r.Waiting > 0 {
		fmt.Fprintf(out, "，%d 条刚刚写入、等待封存", r.Waiting)
	}
	fmt.Fprintf(out, "。\n链尾 %s：请记在别处，下次用 --head 核对末尾有没有被截断。\n", r.Head)
	if len(r.Problems) > 0 {
		return fmt.Errorf("审计记录有 %d 处不对", len(r.Problems))
	}
	return nil
}

// newAuditMetric is how long the oldest audit entry has waited for its seal; a
// store that is away leaves no number.
func newAuditMetric(audit *service.Audit) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dangri_audit_unsealed_seconds", Help: "How long the oldest audit entry has waited for its seal."}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		age, err := audit.Unsealed(ctx)
		if err != nil {
			return math.NaN()
		}
		return age.Seconds()
	})
}
