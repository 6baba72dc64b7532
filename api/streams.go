package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"dangri/model"
	"dangri/service"
)

// streamPatience is how long the reader of a stream may take for one event.
const streamPatience = 15 * time.Second

// streams lets requests for a stream pass by what holds answers back.
func streams(direct, held http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/stream") {
			direct.ServeHTTP(w, r)
			return
		}
		held.ServeHTTP(w, r)
	})
}

// stream registers an endpoint that answers with server-sent events until there
// are no more, the client leaves or the server stops. A client that does not
// read is cut off like any other, event by event.
func stream[In any](r *router, path, id, summary string, open func(context.Context, *In) (*service.BoardStream, error)) {
	op := operation(http.MethodGet, path, id, summary, ordinary, true)
	op.Middlewares = nil // it may take longer than any answer
	op.Responses["200"] = &huma.Response{Description: "text/event-stream：board 为统计与最近到会者，code 为签到码，beat 表示连接还在，end 说明为什么结束",
		Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}
	huma.Register(r.api, op, func(ctx context.Context, in *In) (*huma.StreamResponse, error) {
		s, err := open(ctx, in)
		if err != nil {
			r.refusedAnyone(ctx, err)
			return nil, refuse(ctx, r.log, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) { r.send(hc, s) }}, nil
	})
	delete(op.Responses, strconv.Itoa(http.StatusUnprocessableEntity))
}

func (r *router) send(hc huma.Context, s *service.BoardStream) {
	defer s.Close()
	ctx, stop := context.WithCancel(hc.Context())
	defer stop()
	go func() {
		select {
		case <-r.stopping:
			stop()
		case <-ctx.Done():
		}
	}()
	g := humagin.Unwrap(hc)
	connection := http.NewResponseController(g.Writer)
	_ = connection.SetReadDeadline(time.Time{}) // a deadline of before would end the request
	g.Header("X-Accel-Buffering", "no")
	for {
		e, err := s.Next(ctx)
		if err != nil {
			return
		}
		_ = connection.SetWriteDeadline(time.Now().Add(streamPatience)) //nolint:forbidigo // a stopwatch, not a clock
		g.SSEvent(e.Name, e.Data)
		if g.IsAborted() || connection.Flush() != nil {
			return
		}
	}
}

type streamRequest struct {
	OfActivity
	Pass string `header:"Screen-Pass" maxLength:"96" doc:"大屏幕网址里 # 后面的部分；给了就不用登录"`
}

// boardStream resolves the session or the pass itself, again and again.
func boardStream(s *service.Services) func(context.Context, *streamRequest) (*service.BoardStream, error) {
	return func(ctx context.Context, r *streamRequest) (*service.BoardStream, error) {
		return s.Screens.Watch(ctx, token(ctx), r.Pass, r.ActivityID)
	}
}

func showScreen(s *service.Services) useCase[OfActivity, *service.ScreenPass] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.ScreenPass, error) {
		return s.Screens.Open(ctx, actor, r.ActivityID)
	}
}
