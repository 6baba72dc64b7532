package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/prometheus/client_golang/prometheus"

	"dangri/model"
)

// strictJSON refuses duplicate keys, trailing data, invalid UTF-8, numbers that
// not every client reads alike (RFC 7493) and nesting deeper than any input of
// ours. It writes what encoding/json does, but a list without anything in it as
// an empty one.
var strictJSON = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		return json.MarshalWrite(w, v, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false), json.FormatNilSliceAsNull(false))
	},
	Unmarshal: func(data []byte, v any) error {
		if err := json.Unmarshal(data, v); err != nil {
			return err
		}
		if whole, first := v.(*any); first { // huma reads a body into this before it reads it into the input
			return checkShape(*whole, 1)
		}
		return nil
	},
}

const (
	maxDepth  = 32
	maxNumber = 1<<53 - 1
)

// checkShape refuses what a body has at this depth and deeper.
func checkShape(v any, depth int) (err error) {
	switch v := v.(type) {
	case float64:
		if math.Abs(v) > maxNumber {
			err = errors.New("number too large")
		}
		return err
	case []any:
		for _, e := range v {
			err = cmp.Or(err, checkShape(e, depth+1))
		}
	case map[string]any:
		for _, e := range v {
			err = cmp.Or(err, checkShape(e, depth+1))
		}
	default:
		return nil
	}
	if depth > maxDepth {
		return errors.New("nested too deep")
	}
	return err
}

type contextKey int

const (
	askedKey contextKey = iota
	requestIDKey
	paperKey
)

// asked is what of a request is not in an endpoint's input, and what the input is
// described by. The path holds numbers and nothing personal.
type asked struct {
	operation, path, token, address string
	schemas                         huma.Registry
}

// rememberRequest keeps it for the endpoint.
func rememberRequest(schemas huma.Registry) func(ctx huma.Context, next func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		g := humagin.Unwrap(ctx)
		scheme, token, _ := strings.Cut(g.GetHeader("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			token = ""
		}
		next(huma.WithValue(ctx, askedKey, asked{ctx.Operation().OperationID, g.Request.URL.Path, strings.TrimSpace(token), g.ClientIP(), schemas}))
	}
}

func askedOf(ctx context.Context) asked {
	a, _ := ctx.Value(askedKey).(asked)
	return a
}

func operationID(ctx context.Context) string { return askedOf(ctx).operation }
func path(ctx context.Context) string        { return askedOf(ctx).path }
func token(ctx context.Context) string       { return askedOf(ctx).token }
func address(ctx context.Context) string     { return askedOf(ctx).address }

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}

// allowance is what one request may take.
type allowance struct {
	bytes   int64         // of its body
	reading time.Duration // until the body is here
	working time.Duration // from then on until there is an answer
}

var (
	ordinary  = allowance{64 << 10, bodyPatience - headersPatience, answerPatience - 6*time.Second}
	uploading = allowance{8<<20 + 64<<10, uploadPatience, time.Minute}
	picturing = allowance{10<<20 + 64<<10, uploadPatience, time.Minute}
)

// What is uploaded names people: it stays in memory, never in a file of its own.
func init() { humagin.MultipartMaxMemory = picturing.bytes }

// within keeps a request to its allowance. The whole body is read before
// anything is decided; a store that hangs is given up in time for the answer.
func within(a allowance) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		g := humagin.Unwrap(ctx)
		if refusal := receive(g, a); refusal != nil {
			answerRefusal(g.Writer, refusal)
			return
		}
		working, cancel := context.WithTimeout(ctx.Context(), a.working)
		defer cancel()
		next(huma.WithContext(ctx, working))
	}
}

// receive reads the whole body into memory, or says why not.
func receive(g *gin.Context, a allowance) *model.Error {
	if g.Request.Body == http.NoBody {
		return nil
	}
	start := time.Now() //nolint:forbidigo // a stopwatch, not a clock
	connection := http.NewResponseController(g.Writer)
	_ = connection.SetReadDeadline(start.Add(a.reading)) // whoever is not on a connection has no deadline
	if a.reading+a.working > answerPatience {
		_ = connection.SetWriteDeadline(start.Add(a.reading + a.working + bodyPatience))
	}
	body, err := io.ReadAll(http.MaxBytesReader(g.Writer, g.Request.Body, a.bytes))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		g.Request.Body = io.NopCloser(bytes.NewReader(body))
		return nil
	case errors.As(err, &tooLarge):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	}
	return errInput
}

// membersOnly refuses everybody else before a large body is read.
func (r *router) membersOnly(ctx huma.Context, next func(huma.Context)) {
	actor, err := r.services.Sessions.Actor(ctx.Context(), token(ctx.Context()))
	if err == nil && actor.MemberID == 0 {
		err = model.ErrNotBound
	}
	if err != nil {
		writeProblem(humagin.Unwrap(ctx).Writer, refuse(ctx.Context(), r.log, err))
		return
	}
	next(ctx)
}

// careful is what a browser needs to know to be careful with an answer.
var careful = http.Header{
	"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "X-Frame-Options": {"DENY"}, "Referrer-Policy": {"no-referrer"},
	"Content-Security-Policy": {"default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"},
}

// headers gives every answer a request id, the server's time and what makes a
// browser careful.
func headers(c Config, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := make([]byte, 9)
		_, _ = rand.Read(id) // never fails since Go 1.24
		requestID := base64.RawURLEncoding.EncodeToString(id)
		h := w.Header()
		h.Set("X-Request-Id", requestID)
		h.Set("Server-Time", c.Now().Format("2006-01-02T15:04:05.000Z07:00"))
		maps.Copy(h, careful)
		if len(r.TransferEncoding) > 0 || c.leaving() {
			// A length beside the chunks can no longer be seen here; after such a
			// pair the connection must not be used again (RFC 9112, section 6.1).
			h.Set("Connection", "close")
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey, requestID)))
	})
}

// etags answers 304 to a GET whose JSON the client already holds.
func etags(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/v1/") {
			next.ServeHTTP(w, r)
			return
		}
		held := &heldAnswer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(held, r)
		if held.status == http.StatusOK {
			sum := sha256.Sum256(held.body.Bytes())
			tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
			w.Header().Set("ETag", tag)
			if strings.Contains(r.Header.Get("If-None-Match"), tag) { // also W/"…" and lists
				w.Header().Del("Content-Type")
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes()) // the client may be gone
	})
}

// heldAnswer keeps an answer back until its ETag is known.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) WriteHeader(status int)      { h.status = status }
func (h *heldAnswer) Write(b []byte) (int, error) { return h.body.Write(b) }

// observe logs and counts each request by its route, never by its URL: a URL
// can carry what is nobody's business.
func observe(c Config) gin.HandlerFunc {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dangri_http_requests_total", Help: "Requests by route and status."}, []string{"route", "status"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "dangri_http_seconds", Help: "Time to answer by route.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"route"})
	if c.Metrics != nil {
		c.Metrics.MustRegister(requests, seconds)
	}
	return func(g *gin.Context) {
		start := time.Now() //nolint:forbidigo // a stopwatch, not a clock
		g.Next()
		took := time.Since(start) //nolint:forbidigo // a stopwatch, not a clock
		route := g.Request.Method + " " + g.FullPath()
		if g.FullPath() == "" {
			route = "unknown"
		}
		requests.WithLabelValues(route, strconv.Itoa(g.Writer.Status())).Inc()
		seconds.WithLabelValues(route).Observe(took.Seconds())
		c.Log.LogAttrs(g.Request.Context(), slog.LevelInfo, "request", slog.String("request_id", requestID(g.Request.Context())), slog.String("route", route),
			slog.Int("status", g.Writer.Status()), slog.Int64("ms", took.Milliseconds()), slog.Int("bytes", g.Writer.Size()))
	}
}

// recoverPanic turns a panic into a fault with the request's id.
func recoverPanic(log *slog.Logger) gin.HandlerFunc {
	return func(g *gin.Context) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // this is how net/http compares it
				panic(v)
			}
			id := requestID(g.Request.Context())
			log.Error("panic", "request_id", id, "error", fmt.Sprint(v), "stack", string(debug.Stack()))
			p := problemOf(errFault)
			p.RequestID = id
			g.Abort()
			if !g.Writer.Written() {
				writeProblem(g.Writer, p)
			}
		}()
		g.Next()
	}
}

var plainKey = regexp.MustCompile(`^[0-9A-Za-z_-]{8,64}$`)

// plainRequests refuses what no client of ours sends: compressed bodies, a
// query that cannot be read whole or gives a parameter twice, two tokens, an
// unreadable Idempotency-Key.
func plainRequests(g *gin.Context) {
	refuse := func(e *model.Error) {
		answerRefusal(g.Writer, e)
		g.Abort()
	}
	if len(g.Request.Header["Authorization"]) > 1 {
		refuse(errInput)
		return
	}
	if enc := g.GetHeader("Content-Encoding"); enc != "" && enc != "identity" {
		refuse(errMedia)
		return
	}
	query, err := url.ParseQuery(g.Request.URL.RawQuery)
	if err != nil {
		refuse(errInput)
		return
	}
	for _, values := range query {
		if len(values) > 1 {
			refuse(model.BadField("query", "同一个参数只能给一次"))
			return
		}
	}
	if keys, given := g.Request.Header["Idempotency-Key"]; given && g.Request.Method != http.MethodGet && (len(keys) != 1 || !plainKey.MatchString(keys[0])) {
		refuse(model.BadField("Idempotency-Key", "应为 8 到 64 个字母、数字、下划线或短横"))
		return
	}
	g.Next()
}
