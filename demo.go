package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/urfave/cli/v3"

	"dangri/config"
	"dangri/scripts/demo"
	"dangri/service"
)

// playDemo serves an invented district and holds its meetings before the
// reader's eyes; then it goes on serving in real time, or ends. It fails when
// any number is not what the story says.
func playDemo(ctx context.Context, c *cli.Command) error {
	once := c.Bool("once")
	standard := []string{"DANGRI_DATA_DIR=./data/demo", "DANGRI_LOG_LEVEL=error", "DANGRI_METRICS_ADDR=127.0.0.1:0"}
	if once {
		standard = append(standard, "DANGRI_ADDR=127.0.0.1:0")
	}
	if _, port, err := net.SplitHostPort(os.Getenv("DANGRI_ADDR")); err == nil { // what it answers with is to be found there
		standard = append(standard, "DANGRI_PUBLIC_URL=http://127.0.0.1:"+port)
	}
	settings, err := config.Load(append(standard, os.Environ()...))
	if err != nil {
		return fmt.Errorf("设置有误：\n%w", err)
	}
	if settings.Environment == config.Production || settings.WeChatAppID != "" {
		return errors.New("演示要用微信模拟器和示例数据：不能在正式环境运行，也不要设置 DANGRI_WECHAT_APP_ID")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	hands := &demo.Clock{Real: clock}
	a, err := open(ctx, settings, slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: settings.LogLevel})), hands.Now)
	if err != nil {
		return err
	}
	defer a.close()
	story := newStory(a, hands, service.NewSample(1), c.Root().Writer, once)
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- a.serve(ctx, func(address string) { ready <- address }) }()
	select {
	case err := <-ended:
		return fmt.Errorf("服务没有启动：%w。端口被占用时请换一个，例如 DANGRI_ADDR=:8081 make run", err)
	case address := <-ready:
		_, port, _ := net.SplitHostPort(address) // it is being listened on
		story.API = "http://127.0.0.1:" + port
	}
	err = say(story.Play(ctx))
	if err == nil && !once {
		story.GoOn()
	} else {
		stop()
	}
	return errors.Join(err, <-ended)
}
