package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/urfave/cli/v3"

	"dangri/api"
	"dangri/config"
	"dangri/model"
	"dangri/service"
	"dangri/wechat"
	"dangri/wechat/sim"
)

// sendPath is the platform's endpoint whose allowance matters.
const sendPath = "/cgi-bin/message/subscribe/send"

// openPlatform connects to WeChat, or where no mini-program is set starts the
// simulator on a loopback port.
func (a *app) openPlatform(client redis.UniversalClient) error {
	c := wechat.Config{AppID: a.settings.WeChatAppID, AppSecret: a.settings.WeChatAppSecret.Reveal(), BaseURL: a.settings.WeChatBaseURL,
		Redis: client, Now: a.now, Log: a.log, MiniProgramState: a.settings.WeChatState, Observe: observePlatform(a.metrics)}
	a.push = wechat.PushConfig{Token: a.settings.WeChatPushToken.Reveal(), EncodingAESKey: a.settings.WeChatAESKey.Reveal()}
	if c.AppID == "" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("start the WeChat simulator: %w", err)
		}
		a.push.Token, a.push.EncodingAESKey = rand.Text(), (rand.Text() + rand.Text())[:43]
		a.sim = sim.New(sim.Config{AppID: sim.DefaultAppID, AppSecret: sim.DefaultAppSecret, Clock: a.now, Log: a.log,
			PushToken: a.push.Token, EncodingAESKey: a.push.EncodingAESKey})
		server := &http.Server{Handler: a.sim, ReadHeaderTimeout: 5 * time.Second}
		go func() { _ = server.Serve(listener) }() // ends with Close
		a.closers = append(a.closers, a.sim.Close, func() { _ = server.Close() })
		a.platform = "http://" + listener.Addr().String()
		c.AppID, c.AppSecret, c.BaseURL = sim.DefaultAppID, sim.DefaultAppSecret, a.platform
	}
	a.push.AppID = c.AppID
	platform, err := wechat.New(c)
	a.wechat = platform
	return err
}

// catalogue is which message template serves which purpose.
func (a *app) catalogue() (model.Catalogue, error) {
	raw, err := a.settings.TemplateFile()
	if err != nil {
		return nil, err
	}
	c, err := model.ReadCatalogue(raw)
	if err != nil {
		return nil, fmt.Errorf("DANGRI_WECHAT_TEMPLATES：%w", err)
	}
	return c, nil
}

// pushes is the endpoint that the platform reports to; nil without a token.
func (a *app) pushes() (http.Handler, error) {
	if a.push.Token == "" {
		return nil, nil
	}
	memory := wechat.NewMemory(a.redis, a.now, a.log)
	c := a.push
	c.Now, c.Log, c.Seen, c.Forget = a.now, a.log, memory.Seen, memory.Forget
	c.Receive = func(ctx context.Context, events []wechat.Event) error {
		heard := make([]service.PlatformEvent, len(events))
		for i, e := range events {
			heard[i] = service.PlatformEvent{Kind: service.PlatformEventKind(e.Kind), Key: e.Key, OpenID: e.OpenID, At: e.At,
				TemplateID: e.TemplateID, Accepted: e.Status == "accept", MsgID: e.MsgID, Failed: e.ErrorCode != 0}
		}
		return a.services.Receive(ctx, heard)
	}
	return wechat.NewPush(c)
}

// connect lets the simulator in this process report to the address that is
// served.
func (a *app) connect(served net.Addr) {
	if a.sim == nil {
		return
	}
	_, port, _ := net.SplitHostPort(served.String()) // it is being listened on
	a.sim.PushTo("http://127.0.0.1:" + port + api.PushPath)
}

// observePlatform counts the exchanges with the platform, renewals of the
// access token among them.
func observePlatform(metrics *prometheus.Registry) func(api, kind string, took time.Duration) {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dangri_wechat_calls_total", Help: "Exchanges with WeChat by endpoint and outcome."}, []string{"api", "outcome"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "dangri_wechat_seconds", Help: "Time of exchanges with WeChat.",
		Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5}}, []string{"api"})
	metrics.MustRegister(calls, seconds)
	return func(api, kind string, took time.Duration) {
		if kind == "" {
			kind = "ok"
		}
		calls.WithLabelValues(api, kind).Inc()
		seconds.WithLabelValues(api).Observe(took.Seconds())
	}
}

// reminderMetrics reads the queue whenever somebody looks.
type reminderMetrics struct {
	reminders        *service.Reminders
	states, due, lag *prometheus.Desc
}

func newReminderMetrics(r *service.Reminders) *reminderMetrics {
	return &reminderMetrics{r,
		prometheus.NewDesc("dangri_reminders", "Reminders by state.", []string{"state"}, nil),
		prometheus.NewDesc("dangri_reminders_due", "Reminders that wait although it is time.", nil, nil),
		prometheus.NewDesc("dangri_reminders_lag_seconds", "How long the oldest of them has waited.", nil, nil)}
}

// Describe names the metrics.
func (m *reminderMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.states
	out <- m.due
	out <- m.lag
}

// Collect reads them; a store that is away leaves a gap.
func (m *reminderMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stats, err := m.reminders.Stats(ctx)
	if err != nil {
		return
	}
	for _, state := range model.ReminderStates {
		out <- prometheus.MustNewConstMetric(m.states, prometheus.GaugeValue, float64(stats.States[state]), string(state))
	}
	out <- prometheus.MustNewConstMetric(m.due, prometheus.GaugeValue, float64(stats.Due))
	out <- prometheus.MustNewConstMetric(m.lag, prometheus.GaugeValue, stats.Lag.Seconds())
}

// platformCommands are those about WeChat and what is sent through it.
func platformCommands() []*cli.Command {
	id := &cli.Uint64Flag{Name: "id", Usage: "提醒的编号", Required: true}
	return []*cli.Command{
		{Name: "wechat", Usage: "微信小程序", Commands: []*cli.Command{
			{Name: "check", Usage: "核对消息模板与小程序后台是否一致，并查看今日发送余额", Action: checkPlatform},
		}},
		{Name: "sim", Usage: "单独运行微信模拟器", Action: simulate, Flags: []cli.Flag{
			&cli.StringFlag{Name: "addr", Usage: "监听地址", Value: "127.0.0.1:8090"},
			&cli.StringFlag{Name: "push", Usage: "把事件推送到哪里，如 http://127.0.0.1:8080" + api.PushPath},
		}},
		{Name: "reminders", Usage: "发不出去的提醒", Commands: []*cli.Command{
			{Name: "dead", Usage: "列出发不出去或结果不明的提醒", Flags: []cli.Flag{&cli.IntFlag{Name: "limit", Value: 100, Usage: "最多几条"}},
				Action: withServices(func(ctx context.Context, c *cli.Command, s *service.Services) error {
					return show(s.Reminders.Dead(ctx, c.Int("limit")))
				})},
			{Name: "requeue", Usage: "重新排队；结果不明的可能会重复收到", Flags: []cli.Flag{id, &cli.StringFlag{Name: "reason", Usage: "理由，写入审计", Required: true}},
				Action: withServices(func(ctx context.Context, c *cli.Command, s *service.Services) error {
					return s.Reminders.Requeue(ctx, model.Operator(), c.Uint64("id"), c.String("reason"))
				})},
		}},
	}
}

// checkPlatform compares the catalogue with the account's templates.
func checkPlatform(ctx context.Context, c *cli.Command) error {
	settings, log, err := loaded()
	if err != nil {
		return err
	}
	a := &app{settings: settings, log: log, now: clock, metrics: prometheus.NewRegistry()}
	defer a.close()
	if err := a.openPlatform(nil); err != nil {
		return err
	}
	catalogue, err := a.catalogue()
	if err != nil {
		return err
	}
	theirs, err := a.wechat.Templates(ctx)
	if err != nil {
		return fmt.Errorf("查询消息模板：%w", err)
	}
	var wrong []string
	for _, purpose := range model.Purposes {
		t, ok := catalogue[purpose]
		if !ok {
			fmt.Fprintf(c.Root().Writer, "－ %s：没有设置模板，不会发送\n", model.PurposeNames[purpose])
			continue
		}
		at := slices.IndexFunc(theirs, func(o wechat.Template) bool { return o.ID == t.ID })
		if at < 0 {
			wrong = append(wrong, fmt.Sprintf("%s：小程序后台没有模板 %s", model.PurposeNames[purpose], t.ID))
			continue
		}
		var missing []string
		for _, k := range theirs[at].Keywords {
			if t.Keywords[k.Key] == "" {
				missing = append(missing, k.Key)
			}
		}
		if len(missing) > 0 || len(theirs[at].Keywords) != len(t.Keywords) {
			wrong = append(wrong, fmt.Sprintf("%s：关键词与后台的“%s”不一致，缺 %s 或有多余", model.PurposeNames[purpose], theirs[at].Title, strings.Join(missing, "、")))
			continue
		}
		fmt.Fprintf(c.Root().Writer, "✓ %s：%s\n", model.PurposeNames[purpose], theirs[at].Title)
	}
	if quota, err := a.wechat.Quota(ctx, sendPath); err == nil {
		fmt.Fprintf(c.Root().Writer, "今日还可发送 %d 条（共 %d）。\n", quota.Remaining, quota.Limit)
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}

// simulate runs the simulator alone, for several replicas to share. It is the
// mini-program of the settings, or where they name none the default one.
func simulate(ctx context.Context, c *cli.Command) error {
	settings, log, err := loaded()
	if err != nil {
		return err
	}
	if settings.Environment == config.Production {
		return errors.New("正式环境不能运行微信模拟器")
	}
	platform := sim.New(sim.Config{AppID: settings.WeChatAppID, AppSecret: settings.WeChatAppSecret.Reveal(), Clock: clock, Log: log,
		PushURL: c.String("push"), PushToken: settings.WeChatPushToken.Reveal(), EncodingAESKey: settings.WeChatAESKey.Reveal()})
	defer platform.Close()
	listener, err := net.Listen("tcp", c.String("addr"))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := api.NewServer(platform, log)
	go func() {
		<-ctx.Done()
		_ = server.Close() // nothing of it is kept
	}()
	log.Info("serving", "address", listener.Addr().String(), "page", "http://"+listener.Addr().String()+"/")
	return untilClosed(server.Serve(listener))
}

// quotaPeriod is how often the allowance that is left is asked for.
const quotaPeriod = 10 * time.Minute

// watchQuota keeps a metric of how many messages WeChat still takes today.
func (a *app) watchQuota(ctx context.Context) error {
	left := prometheus.NewGauge(prometheus.GaugeOpts{Name: "dangri_wechat_sends_left", Help: "Messages that WeChat still takes today."})
	a.metrics.MustRegister(left)
	tick := time.NewTicker(quotaPeriod)
	defer tick.Stop()
	for {
		if quota, err := a.wechat.Quota(ctx, sendPath); err == nil {
			left.Set(float64(quota.Remaining))
		} else {
			left.Set(math.NaN()) // it is not known
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
