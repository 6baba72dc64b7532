package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"dangri/model"
)

const (
	xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	html = "text/html; charset=utf-8"
	jpeg = "image/jpeg"

	archive = "application/zip"
)

type fileAnswer struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// file registers an endpoint that answers with a file instead of JSON.
func file[In any](r *router, path, id, summary, contentType string, e endpoint[In, []byte]) {
	give(r, operation(http.MethodGet, path, id, summary, ordinary, e.signed), contentType, e)
}

// document registers a paper, which a computer may have by a pass in place of a
// session. A session has one made at a time: they are the dearest answers, and
// whoever asks for twenty at once is to hold up nobody else.
func document[In any](r *router, path, id, summary, contentType string, use useCase[In, []byte]) {
	one := member(r, func(ctx context.Context, actor *model.Actor, in *In) ([]byte, error) {
		if _, busy := r.filing.LoadOrStore(actor.SessionID, true); busy {
			return nil, errFiling
		}
		defer r.filing.Delete(actor.SessionID)
		return use(ctx, actor, in)
	})
	op := operation(http.MethodGet, path, id, summary, ordinary, one.signed)
	op.Security = append(op.Security, map[string][]string{"paper": {}})
	op.Middlewares = append(op.Middlewares, takePass)
	give(r, op, contentType, one)
}

func give[In any](r *router, op huma.Operation, contentType string, e endpoint[In, []byte]) {
	media, _, _ := strings.Cut(contentType, ";")
	disposition := ""
	switch contentType {
	case xlsx:
		disposition = `attachment; filename="sheet.xlsx"`
	case archive:
		disposition = `attachment; filename="pack.zip"`
	}
	op.Responses["200"] = &huma.Response{Description: op.Summary,
		Content: map[string]*huma.MediaType{media: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
	huma.Register(r.api, op, func(ctx context.Context, in *In) (*fileAnswer, error) {
		body, err := e.call(ctx, in)
		if err != nil {
			return nil, refuse(ctx, r.log, err)
		}
		return &fileAnswer{ContentType: contentType, Disposition: disposition, Body: body}, nil
	})
	delete(op.Responses, strconv.Itoa(http.StatusUnprocessableEntity))
}

// paperAsked is a paper that is asked for by a pass.
type paperAsked struct{ pass, path string }

// takePass keeps the pass for the endpoint, with what it must be good for.
func takePass(ctx huma.Context, next func(huma.Context)) {
	if pass := ctx.Header("Paper-Pass"); pass != "" {
		ctx = huma.WithValue(ctx, paperKey, paperAsked{pass, humagin.Unwrap(ctx).Request.URL.RequestURI()})
	}
	next(ctx)
}

// tagOf groups the endpoints in the documentation.
func tagOf(path string) string {
	switch {
	case strings.HasPrefix(path, "/v1/service-"), strings.HasPrefix(path, "/v1/sign-ups"), strings.HasPrefix(path, "/v1/communities"), strings.HasPrefix(path, "/v1/community-"),
		strings.HasPrefix(path, "/v1/household-"), strings.HasPrefix(path, "/v1/hour-objections"), path == "/v1/me/sign-ups", strings.Contains(path, "/service-"):
		return "服务"
	case strings.HasPrefix(path, "/v1/sessions"), strings.HasPrefix(path, "/v1/me"), path == "/v1/home":
		return "我"
	case path == "/v1/subscription-requests", path == "/v1/consents", strings.HasSuffix(path, "/reach"),
		strings.HasSuffix(path, "/reminders"), strings.HasSuffix(path, "/calls"), strings.HasSuffix(path, "/calls.html"):
		return "提醒"
	case strings.HasSuffix(path, "/publication"), strings.HasSuffix(path, "/cancellation"):
		return "活动"
	case strings.HasPrefix(path, "/v1/activities/{activity_id}/"), path == "/v1/check-ins":
		return "会议"
	case strings.HasPrefix(path, "/v1/activities"):
		return "活动"
	}
	return "组织"
}
