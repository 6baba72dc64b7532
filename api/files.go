package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const (
	xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	html = "text/html; charset=utf-8"
)

type fileAnswer struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// file registers an endpoint that answers with a file instead of JSON.
func file[In any](r *router, path, id, summary, contentType string, e endpoint[In, []byte]) {
	media, _, _ := strings.Cut(contentType, ";")
	disposition := ""
	if contentType == xlsx {
		disposition = `attachment; filename="sheet.xlsx"`
	}
	op := huma.Operation{Method: http.MethodGet, Path: path, OperationID: id, Summary: summary, Description: descriptions[id], Tags: []string{tagOf(path)},
		Security: []map[string][]string{{"session": {}}},
		Errors:   []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusServiceUnavailable},
		Responses: map[string]*huma.Response{"200": {Description: summary,
			Content: map[string]*huma.MediaType{media: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}}
	huma.Register(r.api, op, func(ctx context.Context, in *In) (*fileAnswer, error) {
		body, err := e.call(ctx, in)
		if err != nil {
			return nil, refuse(ctx, r.log, err)
		}
		return &fileAnswer{ContentType: contentType, Disposition: disposition, Body: body}, nil
	})
}

// tagOf groups the endpoints in the documentation.
func tagOf(path string) string {
	switch {
	case strings.HasPrefix(path, "/v1/sessions"), strings.HasPrefix(path, "/v1/me"), path == "/v1/home":
		return "我"
	case strings.HasSuffix(path, "/publication"), strings.HasSuffix(path, "/cancellation"):
		return "活动"
	case strings.HasPrefix(path, "/v1/activities/{activity_id}/"), path == "/v1/check-ins":
		return "会议"
	case strings.HasPrefix(path, "/v1/activities"):
		return "活动"
	}
	return "组织"
}
