// Dangri serves the organisational life of party branches to a WeChat
// mini-program.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
	_ "time/tzdata" // the zone must be known on a machine without zone files

	"github.com/gin-gonic/gin"
	"github.com/urfave/cli/v3"

	"dangri/api"
	"dangri/config"
	"dangri/model"
	"dangri/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root().Run(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func root() *cli.Command {
	return &cli.Command{Name: "dangri", Usage: "党日：党支部组织生活的服务", Commands: append(append(append(adminCommands(), platformCommands()...), privacyCommands()...), []*cli.Command{
		{Name: "serve", Usage: "提供服务", Action: serve},
		{Name: "demo", Usage: "当面开一次主题党日、一次支部党员大会，然后继续服务", Action: playDemo,
			Flags: []cli.Flag{&cli.BoolFlag{Name: "once", Usage: "演示完就退出；有一个数字不对就算失败"}}},
		{Name: "migrate", Usage: "把数据库升级到本程序的版本", Action: migrate,
			Flags: []cli.Flag{&cli.StringFlag{Name: "grant-to", Usage: "随后给服务所用的 MySQL 账号授权：审计只能添加，不能改、不能删，也不能改表"}}},
		{Name: "docs", Usage: "输出 OpenAPI 文档", Action: docs},
		{Name: "healthcheck", Usage: "问本机的服务是否就绪（供容器使用）", Action: healthcheck},
	}...)}
}

// loaded is the settings from the environment with a logger of their level.
func loaded() (config.Settings, *slog.Logger, error) {
	settings, err := config.Load(os.Environ())
	if err != nil {
		return settings, nil, fmt.Errorf("设置有误：\n%w", err)
	}
	return settings, slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: settings.LogLevel})), nil
}

// What the service holds is small and what it makes is short-lived, so the
// collector may come less often than it does by itself: a tenth of the
// processor time for some tens of megabytes.
const collectorPercent = 300

func serve(ctx context.Context, _ *cli.Command) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent)
	}
	settings, log, err := loaded()
	if err != nil {
		return err
	}
	a, err := open(ctx, settings, log, clock)
	if err != nil {
		return err
	}
	defer a.close()
	return a.serve(ctx, func(address string) {
		log.Info("serving", "address", address, "environment", string(settings.Environment), "simulator", a.platform)
	})
}

func migrate(ctx context.Context, c *cli.Command) error {
	settings, log, err := loaded()
	if err != nil {
		return err
	}
	a := &app{settings: settings, log: log}
	defer a.close()
	if err := a.openDatabase(); err != nil {
		return err
	}
	conns, err := a.db.DB()
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	applied, err := model.Migrate(ctx, conns, service.Dialect(a.db))
	if err != nil {
		return err
	}
	fmt.Printf("数据库已是最新版本，本次升级 %d 步。\n", applied)
	if account := c.String("grant-to"); account != "" {
		if err := model.Grant(ctx, conns, account); err != nil {
			return err
		}
		fmt.Printf("已给 %s 授权。\n", account)
	}
	return nil
}

func docs(context.Context, *cli.Command) error {
	gin.SetMode(gin.ReleaseMode)
	document, err := json.MarshalIndent(api.Describe(gin.New(), nil, slog.Default()).OpenAPI(), "", "  ")
	if err != nil {
		return fmt.Errorf("write the OpenAPI document: %w", err)
	}
	_, err = os.Stdout.Write(append(document, '\n'))
	return err
}

func healthcheck(ctx context.Context, _ *cli.Command) error {
	settings, _, err := loaded()
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(settings.Addr)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", port)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("ask readyz: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return errors.New("服务没有回应")
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("服务未就绪：%s", response.Status)
	}
	return nil
}
