// Package service is the use cases: one file and one type for each feature,
// one method for each use case. Its one law: an exported method owns its
// transaction, and nothing is said to the world before the commit.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"dangri/model"
)

// Platform is what the use cases need of WeChat. An error that carries
// Kind() string says what went wrong in the platform's terms.
type Platform interface {
	// SignIn turns a wx.login code into the user's openid.
	SignIn(ctx context.Context, code string) (openID string, err error)
	// PhoneNumber turns a getPhoneNumber code into the user's phone number.
	PhoneNumber(ctx context.Context, code string) (phone string, err error)
	// CheckText judges a text for its author: "pass", "review" or "risky".
	CheckText(ctx context.Context, openID, text string) (verdict string, err error)
	// Deliver sends a subscription message and spends one consent. The id comes
	// back in the event that tells of the delivery.
	Deliver(ctx context.Context, openID, templateID, page string, data map[string]string) (msgID string, err error)
}

// Settings are the lives and windows that an installation may choose.
type Settings struct {
	Zone           *time.Location
	SessionIdle    time.Duration
	SessionLife    time.Duration
	InvitationLife time.Duration
	CodeStep       time.Duration // how often the code on the screen changes
	CodeMargin     time.Duration // how long an old one still counts
	TypedStep      time.Duration // how often the six digits change
	PublicURL      string        // where phones and browsers reach this service

	LateRecordDays int // how long after a meeting a 补签 may be asked for

	Catalogue       model.Catalogue // which message template serves which purpose
	Sending         model.SendingRules
	ReminderWorkers int                  // that send in this process; 0: others do
	Retention       model.RetentionRules // none: model.StandardRetention
	SealPeriod      time.Duration        // how often the audit is sealed; 0: every second
}

// Parts is what the use cases are made of.
type Parts struct {
	DB       *gorm.DB
	Redis    redis.UniversalClient
	Prefix   string // of every Redis key
	Platform Platform
	Files    Files
	Keys     Keys
	Settings Settings
	Now      func() time.Time // UTC, in milliseconds
	Log      *slog.Logger
}

// Services is every use case.
type Services struct {
	Sessions      *Sessions
	Bindings      *Bindings
	Organisations *Organisations
	Members       *Members
	Posts         *Posts
	Imports       *Imports
	Activities    *Activities
	Series        *Series
	Joint         *Joint
	CheckIns      *CheckIns
	Meetings      *Meetings
	Corrections   *Corrections
	Movements     *Movements
	Signals       *Signals
	Requests      *Requests
	OfflineItems  *OfflineItems
	Boards        *Boards
	Screens       *Screens
	Sheets        *Sheets
	Minutes       *Minutes
	Votes         *Votes
	Photos        *Photos
	PaperSheets   *PaperSheets
	Papers        *Papers
	PaperLinks    *PaperLinks
	Home          *Home
	Credits       *Credits
	Consents      *Consents
	Reminders     *Reminders
	Reach         *Reach
	Communities   *Communities
	ServiceDays   *ServiceDays
	SignUps       *SignUps
	Calendars     *Calendars
	Presences     *Presences
	Hours         *Hours
	Feedback      *Feedback
	Households    *Households
	Audit         *Audit
	Complaints    *Complaints
	Burden        *Burden
	Retention     *Retention
	OwnData       *OwnData
	Health        *Health

	run []func(context.Context) error
	log *slog.Logger
}

// New makes every use case of the parts.
func New(p Parts) *Services {
	p.Settings.Sending.Zone = p.Settings.Zone
	cache := newCache(p.Redis, p.Prefix, p.Log)
	limits := newLimits(cache)
	seal := newSealer(p.Keys)
	codes := codes{key: p.Keys.Code, settings: p.Settings}
	sessions := newSessions(p, cache)
	boards := &Boards{db: p.DB, cache: cache, sessions: sessions, now: p.Now}
	checkIns := newCheckIns(p, codes, limits, boards)
	reminders := newReminders(p)
	calendars := &Calendars{db: p.DB, settings: p.Settings, now: p.Now}
	activities := &Activities{db: p.DB, platform: p.Platform, boards: boards, settings: p.Settings, now: p.Now}
	series := &Series{db: p.DB, activities: activities, settings: p.Settings, now: p.Now}
	sheets := &Sheets{db: p.DB, settings: p.Settings, now: p.Now}
	meetings := &Meetings{db: p.DB, codes: codes, boards: boards, url: p.Settings.PublicURL, now: p.Now}
	photos := &Photos{db: p.DB, files: p.Files, now: p.Now}
	record := &Audit{db: p.DB, key: p.Keys.Index, period: cmp.Or(p.Settings.SealPeriod, sealPeriod), now: p.Now, log: p.Log}
	retention := &Retention{db: p.DB, files: p.Files, seal: seal, audit: record, rules: cmp.Or(p.Settings.Retention, model.StandardRetention), settings: p.Settings, now: p.Now, log: p.Log}
	signUps := newSignUps(p)
	home := newHome(p)
	credits := &Credits{db: p.DB, settings: p.Settings}
	return &Services{
		Sessions:      sessions,
		Bindings:      &Bindings{db: p.DB, platform: p.Platform, sessions: sessions, seal: seal, limits: limits, settings: p.Settings, now: p.Now},
		Organisations: &Organisations{db: p.DB, boards: boards, settings: p.Settings, now: p.Now},
		Members:       &Members{db: p.DB, sessions: sessions, seal: seal, settings: p.Settings, now: p.Now},
		Posts:         &Posts{db: p.DB, sessions: sessions, settings: p.Settings, now: p.Now},
		Imports:       &Imports{db: p.DB, sessions: sessions, seal: seal, settings: p.Settings, now: p.Now},
		Activities:    activities,
		Series:        series,
		Joint:         &Joint{db: p.DB, activities: activities, now: p.Now},
		CheckIns:      checkIns,
		Movements:     &Movements{db: p.DB, codes: codes, checkIns: checkIns, boards: boards, now: p.Now},
		Signals:       &Signals{db: p.DB, step: p.Settings.CodeStep},
		Meetings:      meetings,
		Corrections:   &Corrections{db: p.DB, boards: boards, settings: p.Settings, now: p.Now},
		Requests:      &Requests{db: p.DB, boards: boards, settings: p.Settings, now: p.Now},
		OfflineItems:  &OfflineItems{db: p.DB, codes: codes, meetings: meetings, checkIns: checkIns, boards: boards, now: p.Now},
		Boards:        boards,
		Screens:       newScreens(p, codes, boards),
		Sheets:        sheets,
		Minutes:       &Minutes{db: p.DB, platform: p.Platform, now: p.Now},
		Votes:         &Votes{db: p.DB, platform: p.Platform, now: p.Now},
		Photos:        photos,
		PaperSheets:   &PaperSheets{db: p.DB, boards: boards, settings: p.Settings, now: p.Now},
		Papers:        &Papers{db: p.DB, photos: photos, sheets: sheets, settings: p.Settings, now: p.Now},
		PaperLinks:    &PaperLinks{db: p.DB, sessions: sessions, limits: limits, codes: codes, now: p.Now},
		Home:          home,
		Credits:       credits,
		Consents:      &Consents{db: p.DB, catalogue: p.Settings.Catalogue, limits: limits, now: p.Now},
		Reminders:     reminders,
		Reach:         &Reach{db: p.DB, catalogue: p.Settings.Catalogue, seal: seal, settings: p.Settings, now: p.Now},
		Communities:   &Communities{db: p.DB, settings: p.Settings, now: p.Now},
		ServiceDays:   &ServiceDays{db: p.DB, platform: p.Platform, settings: p.Settings, now: p.Now},
		SignUps:       signUps,
		Calendars:     calendars,
		Presences:     &Presences{db: p.DB, codes: codes, checkIns: checkIns, settings: p.Settings, now: p.Now},
		Hours:         &Hours{db: p.DB, settings: p.Settings, now: p.Now},
		Feedback:      &Feedback{db: p.DB, platform: p.Platform, settings: p.Settings, now: p.Now},
		Households:    &Households{db: p.DB, seal: seal, settings: p.Settings, now: p.Now},
		Audit:         record,
		Retention:     retention,
		Burden:        &Burden{db: p.DB, settings: p.Settings, now: p.Now},
		Complaints:    &Complaints{db: p.DB, settings: p.Settings, now: p.Now},
		OwnData:       &OwnData{db: p.DB, sessions: sessions, signUps: signUps, seal: seal, settings: p.Settings, now: p.Now},
		Health:        &Health{db: p.DB, cache: cache},
		run: []func(context.Context) error{
			sessions.watchChanges, sessions.loads.keepServing, sessions.copies.keepServing, sessions.uses.keepServing,
			checkIns.arrivals.keepServing, home.screens.keepServing, signUps.signings.keepServing, every(linePeriod, signUps.ServeLines),
			reminders.keepSending, record.keepSealing, credits.keepUp,
			every(time.Hour, calendars.Extend), every(time.Hour, series.Extend), every(time.Hour, retention.daily),
		},
		log: p.Log,
	}
}

// Run does the background work until ctx ends: without it no arrival is
// committed. It is safe on many replicas at once.
func (s *Services) Run(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	for _, f := range s.run {
		work.Go(func() error { return s.again(ctx, f) })
	}
	return work.Wait()
}

// every does the work once a period until its context ends.
func every(period time.Duration, work func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				_ = work(ctx) // what failed is still to be done at the next tick
			}
		}
	}
}

// panicPause is how long background work rests that has just panicked.
const panicPause = time.Second

// again does background work until it ends by itself. Work that panics begins
// anew after a pause; the same panic is logged once.
func (s *Services) again(ctx context.Context, work func(context.Context) error) error {
	for logged := ""; ; {
		err := recovered(ctx, work)
		var p panicked
		if !errors.As(err, &p) {
			return err
		}
		if p.what != logged {
			s.log.ErrorContext(ctx, "panic in background work", "error", p.what, "stack", p.stack)
			logged = p.what
		}
		pause := time.NewTimer(panicPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

// panicked is a panic as an error.
type panicked struct{ what, stack string }

func (p panicked) Error() string { return p.what }

func recovered(ctx context.Context, work func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked{fmt.Sprint(v), string(debug.Stack())}
		}
	}()
	return work(ctx)
}
