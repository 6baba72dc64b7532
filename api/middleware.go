package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"

	"dangri/model"
)

// strictJSON refuses duplicate keys, trailing data, invalid UTF-8 and nesting
// deeper than any input of ours.
var strictJSON = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		if err := checkDepth(data); err != nil {
			return err
		}
		return json.Unmarshal(data, v)
	},
}

const maxDepth = 32

func checkDepth(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		_, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.StackDepth() > maxDepth {
			return errors.New("nested too deep")
		}
	}
}

type contextKey int

const (
	tokenKey contextKey = iota
	requestIDKey
)

// rememberToken keeps the bearer token for the endpoint.
func rememberToken(ctx huma.Context, next func(huma.Context)) {
	scheme, token, _ := strings.Cut(ctx.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	next(huma.WithValue(ctx, tokenKey, strings.TrimSpace(token)))
}

func token(ctx context.Context) string {
	t, _ := ctx.Value(tokenKey).(string)
	return t
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}

// headers gives every answer a request id, the server's time and what a
// browser needs to know to be careful with it.
func headers(now func() time.Time, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := make([]byte, 9)
		_, _ = rand.Read(id) // never fails since Go 1.24
		requestID := base64.RawURLEncoding.EncodeToString(id)
		h := w.Header()
		h.Set("X-Request-Id", requestID)
		h.Set("Server-Time", now().Format("2006-01-02T15:04:05.000Z07:00"))
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
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
			if r.Header.Get("If-None-Match") == tag {
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
		start := time.Now()
		g.Next()
		took := time.Since(start)
		route := g.Request.Method + " " + g.FullPath()
		if g.FullPath() == "" {
			route = "unknown"
		}
		requests.WithLabelValues(route, strconv.Itoa(g.Writer.Status())).Inc()
		seconds.WithLabelValues(route).Observe(took.Seconds())
		c.Log.Info("request", "request_id", requestID(g.Request.Context()), "route", route, "status", g.Writer.Status(),
			"ms", took.Milliseconds(), "bytes", g.Writer.Size())
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
// query parameter given twice, an unreadable Idempotency-Key.
func plainRequests(g *gin.Context) {
	refuse := func(e *model.Error) {
		answerRefusal(g.Writer, e)
		g.Abort()
	}
	if enc := g.GetHeader("Content-Encoding"); enc != "" && enc != "identity" {
		refuse(errMedia)
		return
	}
	for key, values := range g.Request.URL.Query() {
		if len(values) > 1 {
			refuse(model.BadField(key, "同一个参数只能给一次"))
			return
		}
	}
	if keys, given := g.Request.Header["Idempotency-Key"]; given && g.Request.Method != http.MethodGet && (len(keys) != 1 || !plainKey.MatchString(keys[0])) {
		refuse(model.BadField("Idempotency-Key", "应为 8 到 64 个字母、数字、下划线或短横"))
		return
	}
	g.Next()
}
