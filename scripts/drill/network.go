package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// slowest is how long a check-in may take when every packet from a store is a
// tenth of a second late.
const slowest = time.Second

// network puts a proxy before each store that cuts connections a fifth of the
// time, and then one that is slow.
func (s *stage) network(ctx context.Context) error {
	mysql, redis, err := s.proxies()
	if err != nil {
		return err
	}
	cut := func(ctx context.Context, proxy *toxiproxy.Proxy) func() {
		return beside(ctx, func(ctx context.Context) {
			every(ctx, 1250*time.Millisecond, func(int) { s.cut(ctx, proxy, 250*time.Millisecond) })
		})
	}
	if err := s.openCareless(ctx, s.stores.Via(mysql.Listen)); err != nil {
		return err
	}
	end := cut(ctx, mysql)
	o := s.arrive(ctx, crowd{people: s.people(900), rate: 200, patient: 2 * time.Second})
	end()
	f, _, err := s.found(ctx, o)
	if err != nil {
		return err
	}
	s.check(len(f.Lost) > 0, "对照：先答复后写库的服务，查得出丢失 %d 条", len(f.Lost))

	seconds := 10
	if s.long {
		seconds = 60
	}
	product := s.product.On(s.stores.Via(mysql.Listen), redis.Listen)
	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	endMySQL, endRedis := cut(ctx, mysql), func() {}
	if err := sleep(ctx, 600*time.Millisecond); err == nil {
		endRedis = cut(ctx, redis)
	}
	o = s.arrive(ctx, crowd{people: s.people(300 * seconds), rate: 300, patient: patience, taps: 20, echoes: 5})
	slot, err := s.slot(ctx, fewSeats)
	if err != nil {
		return err
	}
	signed := s.run(ctx, slot, s.people(40*fewSeats, 5000)) // the others may have a seat at that time
	endMySQL()
	endRedis()
	away := 0
	for _, a := range o.tries {
		if a.Status == http.StatusServiceUnavailable {
			away++
		}
	}
	s.check(away > 0, "连接确实断了：答复 503 共 %d 次", away)
	if err := errors.Join(s.settle(ctx, o), s.count(ctx, slot, fewSeats, signed), s.shown(ctx, 5*time.Second)); err != nil {
		return err
	}

	if err := s.openProduct(ctx, product); err != nil {
		return err
	}
	for _, proxy := range []*toxiproxy.Proxy{mysql, redis} {
		s.spoil(proxy, `{"name":"slow","type":"latency","attributes":{"latency":100}}`)
	}
	first := s.arrive(ctx, crowd{people: s.people(200), rate: 200, patient: patience}) // who wait for the first connections too
	o = s.arrive(ctx, crowd{people: s.people(200*seconds, 200), rate: 200, patient: patience})
	for _, proxy := range []*toxiproxy.Proxy{mysql, redis} {
		s.mend(proxy, "slow")
	}
	s.soon(o, slowest, "存储的每次回答都慢 100 ms")
	return s.settle(ctx, o.and(first))
}

// proxies are the ways to the stores on which the network can fail, until the
// drill ends.
func (s *stage) proxies() (mysql, redis *toxiproxy.Proxy, err error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	mysql = toxiproxy.NewProxy(server, "mysql", "127.0.0.1:0", s.stores.MySQL)
	redis = toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", s.stores.Redis)
	if err := errors.Join(mysql.Start(), redis.Start()); err != nil {
		return nil, nil, fmt.Errorf("start proxies: %w", err)
	}
	s.last = append(s.last, mysql.Stop, redis.Stop)
	return mysql, redis, nil
}

// cut resets the connections of a proxy for a while, with what was under way
// on them: a commit may have happened whose answer never comes.
func (s *stage) cut(ctx context.Context, proxy *toxiproxy.Proxy, while time.Duration) {
	s.history.event("cut %s", proxy.Name)
	s.spoil(proxy, `{"name":"cut","type":"reset_peer","attributes":{"timeout":0}}`)
	_ = sleep(ctx, while) // the end may come first
	s.mend(proxy, "cut")
}

func (s *stage) spoil(proxy *toxiproxy.Proxy, toxic string) {
	if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		s.check(false, "代理没有照办：%v", err)
	}
}

func (s *stage) mend(proxy *toxiproxy.Proxy, name string) {
	if err := proxy.Toxics.RemoveToxic(context.Background(), name); err != nil {
		s.check(false, "代理没有照办：%v", err)
	}
}
