package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"dangri/api"
	"dangri/config"
	"dangri/model"
	"dangri/service"
	"dangri/wechat"
	"dangri/wechat/sim"
)

// app is one running installation: stores, platform, use cases.
type app struct {
	settings config.Settings
	log      *slog.Logger
	now      func() time.Time
	db       *gorm.DB
	redis    redis.UniversalClient
	services *service.Services
	metrics  *prometheus.Registry
	wechat   *wechat.Client
	push     wechat.PushConfig // of what the platform reports; without a token it reports nothing
	sim      *sim.Sim          // nil on the platform itself, or on a simulator of its own
	platform string            // where the WeChat simulator listens; "" on the platform itself
	closers  []func()
}

// open builds the parts of the installation that the settings describe. What
// they leave out is embedded: a SQLite file, a Redis in this process, the
// WeChat simulator on a loopback port. All of them live by the clock now.
func open(ctx context.Context, settings config.Settings, log *slog.Logger, now func() time.Time) (_ *app, err error) {
	a := &app{settings: settings, log: log, now: now, metrics: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := a.openDatabase(); err != nil {
		return nil, err
	}
	if err := a.prepareSchema(ctx); err != nil {
		return nil, err
	}
	client, err := a.openRedis()
	if err != nil {
		return nil, err
	}
	a.redis = client
	if err := a.openPlatform(client); err != nil {
		return nil, err
	}
	catalogue, err := a.catalogue()
	if err != nil {
		return nil, err
	}
	keys, err := settings.Keys()
	if err != nil {
		return nil, err
	}
	seal := make([]service.SealKey, len(keys.Seal))
	for i, k := range keys.Seal {
		seal[i] = service.SealKey{ID: k.ID, Key: k.Key}
	}
	files, err := a.openFiles(nil)
	if err != nil {
		return nil, err
	}
	a.services = service.New(service.Parts{
		DB: a.db, Redis: client, Files: files, Prefix: a.prefix(), Platform: a.wechat, Now: now, Log: log,
		Keys: service.Keys{Seal: seal, Index: keys.Index, Code: keys.Code},
		Settings: service.Settings{Zone: settings.Zone, SessionIdle: settings.SessionIdle, SessionLife: settings.SessionLife,
			InvitationLife: settings.InvitationLife, CodeStep: settings.CodeStep, CodeMargin: settings.CodeMargin,
			TypedStep: settings.TypedStep, PublicURL: settings.PublicURL,
			Retention: model.RetentionRules{Sessions: settings.KeepSessions, Invitations: settings.KeepInvitations, Sending: settings.KeepSending,
				Households: settings.KeepHouseholds, Audit: settings.KeepAudit},
			Catalogue: catalogue, ReminderWorkers: settings.ReminderWork,
			LateRecordDays: settings.LateRecordDays,
			Sending:        model.SendingRules{QuietFrom: settings.QuietHours.From, QuietUntil: settings.QuietHours.Until, PerDay: settings.RemindersADay}},
	})
	a.metrics.MustRegister(newReminderMetrics(a.services.Reminders), newAuditMetric(a.services.Audit))
	return a, nil
}

// clock is the one place that reads the time: UTC, in the stores' resolution.
func clock() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// prefix begins every key in Redis. What is there is derived from a database,
// so installations that share a Redis are kept apart by the database's name.
func (a *app) prefix() string {
	return "dangri:" + service.DatabaseName(a.settings.MySQLDSN.Reveal()) + ":"
}

func (a *app) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		a.closers[i]()
	}
}

func (a *app) openDatabase() error {
	dsn := a.settings.MySQLDSN.Reveal()
	if dsn == "" {
		if err := os.MkdirAll(a.settings.DataDir, 0o700); err != nil {
			return fmt.Errorf("make the data folder: %w", err)
		}
		dsn = "file:" + filepath.Join(a.settings.DataDir, "dangri.db")
	}
	db, err := service.OpenDatabase(dsn)
	if err != nil {
		return err
	}
	conns, err := db.DB()
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	a.db, a.closers = db, append(a.closers, func() { _ = conns.Close() })
	return nil
}

// prepareSchema brings the schema up to date; in production it only refuses one
// that is behind, because `dangri migrate` does it with a user of more rights.
func (a *app) prepareSchema(ctx context.Context) error {
	conns, err := a.db.DB()
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if a.settings.Environment == config.Production {
		return model.Migrated(ctx, conns, service.Dialect(a.db))
	}
	_, err = model.Migrate(ctx, conns, service.Dialect(a.db))
	return err
}

func (a *app) openRedis() (redis.UniversalClient, error) {
	options := &redis.UniversalOptions{
		Addrs: a.settings.RedisAddr.Addrs, MasterName: a.settings.RedisAddr.Master, Password: a.settings.RedisPassword.Reveal(),
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second, MaxRetries: 1, PoolSize: 64, ContextTimeoutEnabled: true,
	}
	if a.settings.RedisTLS {
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if len(options.Addrs) == 0 {
		embedded, err := miniredis.Run()
		if err != nil {
			return nil, fmt.Errorf("start the Redis in this process: %w", err)
		}
		tick := time.NewTicker(100 * time.Millisecond)
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-tick.C:
					embedded.FastForward(100 * time.Millisecond) // it expires keys only when told
				case <-stop:
					return
				}
			}
		}()
		a.closers = append(a.closers, embedded.Close, tick.Stop, func() { close(stop) })
		options.Addrs = []string{embedded.Addr()}
	}
	redis.SetLogger(quiet{}) // what it would print comes back as an error
	client := redis.NewUniversalClient(options)
	a.closers = append(a.closers, func() { _ = client.Close() })
	return client, nil
}

// serve answers requests on the address until ctx ends. Then it says that it
// leaves, goes on until a balancer will have heard, and finishes what is under
// way. Ready is told the address that is really listened on.
func (a *app) serve(ctx context.Context, ready func(address string)) error {
	proxies := make([]string, len(a.settings.Proxies))
	for i, p := range a.settings.Proxies {
		proxies[i] = p.String()
	}
	pushes, err := a.pushes()
	if err != nil {
		return err
	}
	stopping := make(chan struct{})
	handler, err := api.New(api.Config{Services: a.services, Log: a.log, Metrics: a.metrics, Now: a.now, TrustedProxies: proxies, Pushes: pushes, Stopping: stopping})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", a.settings.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	// The use cases' background work outlives the requests under way.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running errgroup.Group
	running.Go(func() error { return a.services.Run(background) })
	running.Go(func() error { return a.watchQuota(background) })

	public := api.NewServer(handler, a.log)
	private := api.NewServer(promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{}), a.log)
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return untilClosed(public.Serve(listener)) })
	metrics, err := net.Listen("tcp", a.settings.MetricsAddr)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	work.Go(func() error { return untilClosed(private.Serve(metrics)) })
	work.Go(func() error {
		<-ctx.Done()
		close(stopping)
		<-time.After(a.settings.Drain)
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		return errors.Join(public.Shutdown(patience), private.Shutdown(patience))
	})
	a.connect(listener.Addr())
	if ready != nil {
		ready(listener.Addr().String())
	}
	err = work.Wait()
	stop()
	return errors.Join(err, running.Wait())
}

func untilClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// quiet is the logger of a library whose words would break the JSON log.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
