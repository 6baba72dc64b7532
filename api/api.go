// Package api is HTTP: every endpoint is one line of routes. Its one law:
// nothing here decides; a request becomes a call of one use case, and its
// answer or refusal becomes a response.
package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"

	"dangri/model"
	"dangri/service"
)

// Config is what the HTTP face needs besides the use cases.
type Config struct {
	Services       *service.Services
	Log            *slog.Logger
	Metrics        prometheus.Registerer
	Now            func() time.Time
	TrustedProxies []string // CIDRs whose X-Forwarded-For is believed

	// Pushes answers what the platform reports, which proves by itself where it
	// comes from; nil where nothing is reported.
	Pushes http.Handler

	// Stopping is closed when the process is about to leave: from then on streams
	// end, each answer is the last of its connection and the health checks say
	// that nobody is to be sent here. Nil: never.
	Stopping <-chan struct{}
}

func (c Config) leaving() bool {
	select {
	case <-c.Stopping:
		return true
	default:
		return false
	}
}

// PushPath is where the platform reports to.
const PushPath = "/wechat/push"

// New is the service as one handler: the API, its documentation, the landing
// page of scanned codes and the health checks.
func New(c Config) (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	if err := engine.SetTrustedProxies(c.TrustedProxies); err != nil {
		return nil, err
	}
	engine.NoRoute(func(g *gin.Context) { answerRefusal(g.Writer, model.ErrNotFound) })
	engine.NoMethod(func(g *gin.Context) { answerRefusal(g.Writer, errMethod) })
	engine.Use(observe(c), recoverPanic(c.Log), plainRequests)
	pages(engine)
	health(engine, c)
	if c.Pushes != nil {
		engine.GET(PushPath, gin.WrapH(c.Pushes))
		engine.POST(PushPath, gin.WrapH(c.Pushes))
	}
	describe(engine, &router{services: c.Services, log: c.Log, stopping: c.Stopping})
	// Order: headers for every answer, then compression, then ETags of what is
	// inside. A stream has neither: both would hold it back.
	return headers(c, streams(engine, gzhttp.GzipHandler(etags(engine)))), nil
}

// Describe registers the API on the engine and returns it with its OpenAPI
// document. Services may be nil when only the document is wanted.
func Describe(engine *gin.Engine, s *service.Services, log *slog.Logger) huma.API {
	return describe(engine, &router{services: s, log: log})
}

func describe(engine *gin.Engine, r *router) huma.API {
	config := huma.DefaultConfig("党日 API", "1")
	config.Info.Description = "党支部组织生活：活动、签到、统计与签到表。所有时间都是带时区的 RFC 3339；每个回答的 Server-Time 头是服务器时间。" +
		"拒绝都是 application/problem+json，其中 code 稳定、供程序判断，detail 是可以直接给用户看的话。"
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil
	config.Formats = map[string]huma.Format{"application/json": strictJSON, "json": strictJSON}
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "http", Scheme: "bearer", Description: "signIn 给的 token"},
		"paper":   {Type: "apiKey", In: "header", Name: "Paper-Pass", Description: "linkPaper 给的网址里 # 与 @ 之间的部分：在电脑上打开这一份，不用登录"},
	}
	a := humagin.New(engine, config)
	a.UseMiddleware(rememberRequest(a.OpenAPI().Components.Schemas))
	r.api = a
	routes(r)
	delete(a.OpenAPI().Components.Schemas.Map(), "FormFile") // huma's own, of which nothing in the document speaks
	return a
}

// router registers endpoints.
type router struct {
	api      huma.API
	services *service.Services
	log      *slog.Logger
	stopping <-chan struct{}
	filing   sync.Map // the sessions for which a paper is being made
}

type (
	useCase[In, Out any]  func(context.Context, *model.Actor, *In) (Out, error)
	endpoint[In, Out any] struct {
		call   func(context.Context, *In) (Out, error)
		signed bool
	}
	answer[Out any] struct{ Body Out }
)

// anyone makes an endpoint that needs no session.
func anyone[In, Out any](use func(context.Context, *In) (Out, error)) endpoint[In, Out] {
	return endpoint[In, Out]{call: use}
}

// resolving makes an endpoint whose use case resolves the session itself.
func resolving[In, Out any](r *router, use func(context.Context, *In) (Out, error)) endpoint[In, Out] {
	return endpoint[In, Out]{signed: true, call: func(ctx context.Context, in *In) (out Out, err error) {
		if out, err = use(ctx, in); err != nil {
			r.refusedAnyone(ctx, err)
		}
		return out, err
	}}
}

// refusedAnyone is refused for whoever has the request's session, if anybody.
func (r *router) refusedAnyone(ctx context.Context, err error) {
	var refusal *model.Error
	if !errors.As(err, &refusal) || refusal.Kind == model.Unauthenticated {
		return
	}
	if who, unknown := r.caller(ctx); unknown == nil {
		r.refused(ctx, who, err)
	}
}

// caller is whoever has the request's session, or made its pass for a paper.
func (r *router) caller(ctx context.Context) (actor *model.Actor, err error) {
	if p, ok := ctx.Value(paperKey).(paperAsked); ok {
		actor, err = r.services.PaperLinks.Actor(ctx, p.pass, p.path)
	} else {
		actor, err = r.services.Sessions.Actor(ctx, token(ctx))
	}
	if err != nil {
		return nil, err
	}
	who := *actor // others may wait for the same session
	who.Address = address(ctx)
	return &who, nil
}

// refused notes that the caller asked for what was refused, if it was.
func (r *router) refused(ctx context.Context, who *model.Actor, err error) {
	var refusal *model.Error
	if errors.As(err, &refusal) {
		r.services.Audit.Refused(ctx, who, operationID(ctx), path(ctx), refusal)
	}
}

// signedIn makes an endpoint for whoever has a session, bound or not. A use
// case that must know who calls cannot be routed without it.
func signedIn[In, Out any](r *router, use useCase[In, Out]) endpoint[In, Out] {
	return endpoint[In, Out]{signed: true, call: func(ctx context.Context, in *In) (out Out, err error) {
		who, err := r.caller(ctx)
		if err != nil {
			return out, err
		}
		out, err = use(ctx, who, in)
		r.refused(ctx, who, err)
		return out, err
	}}
}

// member makes an endpoint for those whose account is bound to a member.
func member[In, Out any](r *router, use useCase[In, Out]) endpoint[In, Out] {
	return signedIn(r, func(ctx context.Context, actor *model.Actor, in *In) (out Out, err error) {
		if actor.MemberID == 0 {
			return out, model.ErrNotBound
		}
		return use(ctx, actor, in)
	})
}

// route registers one endpoint: method, path, operation id, what it is for, and
// who may call what.
func route[In, Out any](r *router, method, path, id, summary string, e endpoint[In, Out]) {
	register(r, operation(method, path, id, summary, ordinary, e.signed), e)
}

// upload is route for a file of up to 8 MiB.
func upload[In, Out any](r *router, method, path, id, summary string, e endpoint[In, Out]) {
	take(r, operation(method, path, id, summary, uploading, e.signed), e)
}

// photo is a POST route for a photo of up to 10 MiB.
func photo[In, Out any](r *router, path, id, summary string, e endpoint[In, Out]) {
	take(r, operation(http.MethodPost, path, id, summary, picturing, e.signed), e)
}

func take[In, Out any](r *router, op huma.Operation, e endpoint[In, Out]) {
	op.Middlewares = append(huma.Middlewares{r.membersOnly}, op.Middlewares...)
	register(r, op, e)
}

// operation describes an endpoint. The answers to requests that break a rule
// of all endpoints are the same everywhere.
func operation(method, path, id, summary string, a allowance, signed bool) huma.Operation {
	op := huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, Description: descriptions[id], Tags: []string{tagOf(path)},
		// The body is in memory by then, as within left it.
		MaxBodyBytes: a.bytes + 1, BodyReadTimeout: -1, Middlewares: huma.Middlewares{within(a)},
		Responses: map[string]*huma.Response{},
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusServiceUnavailable}}
	if signed {
		op.Security = []map[string][]string{{"session": {}}}
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	return op
}

//go:embed reference.json
var reference []byte

// descriptions are the use cases' doc comments by operation id; `make docs`
// takes them from the code.
var descriptions = func() (m map[string]string) {
	if err := json.Unmarshal(reference, &m); err != nil {
		panic(err) // the file is part of the program
	}
	return m
}()

func register[In, Out any](r *router, op huma.Operation, e endpoint[In, Out]) {
	huma.Register(r.api, op, func(ctx context.Context, in *In) (*answer[Out], error) {
		out, err := e.call(ctx, in)
		if err != nil {
			return nil, refuse(ctx, r.log, err)
		}
		return &answer[Out]{out}, nil
	})
	delete(op.Responses, strconv.Itoa(http.StatusUnprocessableEntity)) // huma's word for what is a 400 here
}

// done is the answer of a use case that only does something.
type done struct {
	Code string `json:"code" enum:"ok"`
}

func ok(err error) (done, error) { return done{Code: "ok"}, err }
