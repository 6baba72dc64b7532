package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"dangri/model"
	"dangri/service"
)

// problem is the body of every refusal and fault (RFC 9457). It never echoes input.
type problem struct {
	Status    int            `json:"status"`
	Code      string         `json:"code" doc:"稳定，供程序判断"`
	Title     string         `json:"title" doc:"HTTP 状态的名字"`
	Detail    string         `json:"detail" doc:"可以直接给用户看的话，说明要改什么、怎么办"`
	Details   map[string]any `json:"details,omitempty" doc:"有助于处理的事实，如首次签到时间"`
	Errors    []fieldProblem `json:"errors,omitempty" doc:"哪些字段不对"`
	RequestID string         `json:"request_id,omitempty" doc:"出错时请把它告诉管理员"`

	retryAfter int // seconds
}

//go:embed refusals.json
var refusalsSource []byte

// refusals are all there are, as `make docs` finds them in the code.
var refusals = func() (all []struct{ Code, Message string }) {
	if err := json.Unmarshal(refusalsSource, &all); err != nil {
		panic(err) // the file is part of the program
	}
	return all
}()

// TransformSchema lists the codes, each with the sentence that goes with it.
func (*problem) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	code := s.Properties["code"]
	var b strings.Builder
	b.WriteString(code.Description + "：\n")
	for _, r := range refusals {
		code.Enum = append(code.Enum, r.Code)
		b.WriteString(strings.TrimRight("\n- `"+r.Code+"` "+r.Message, " "))
	}
	code.Description = b.String()
	return s
}

type fieldProblem struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

func (p *problem) Error() string             { return p.Code }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) ContentType(string) string { return "application/problem+json" }
func (p *problem) GetHeaders() http.Header {
	if p.retryAfter == 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(p.retryAfter)}}
}

// Refusals of requests that never reach a use case.
var (
	errMethod   = &model.Error{Kind: model.Invalid, Code: "method_not_allowed", Message: "不支持这种请求方法，请更新小程序后再试"}
	errInput    = &model.Error{Kind: model.Invalid, Code: "invalid_input", Message: "提交的内容不符合要求，请检查后再提交"}
	errTooLarge = &model.Error{Kind: model.Invalid, Code: "too_large", Message: "提交的内容太大，请减少一些再提交"}
	errMedia    = &model.Error{Kind: model.Invalid, Code: "unsupported_media", Message: "不支持这种内容格式，请更新小程序后再试"}
	errFiling   = &model.Error{Kind: model.TooMany, Code: "file_under_way", Message: "上一份文件还在生成，请稍候再试", RetryAfter: 2 * time.Second}
	errSlow     = &model.Error{Kind: model.Invalid, Code: "too_slow", Message: "网络太慢，请稍后再试"}
	errFault    = &model.Error{Code: "fault", Message: "系统出错了，请稍后再试；如仍不行，请把编号告诉管理员"}
)

// statuses is the one place that knows HTTP statuses.
var statuses = map[model.Kind]int{
	model.Invalid: http.StatusBadRequest, model.Unauthenticated: http.StatusUnauthorized, model.Forbidden: http.StatusForbidden,
	model.NotFound: http.StatusNotFound, model.Conflict: http.StatusConflict, model.TooMany: http.StatusTooManyRequests,
	model.Unavailable: http.StatusServiceUnavailable, 0: http.StatusInternalServerError,
}

func problemOf(e *model.Error) *problem {
	status := statuses[e.Kind]
	switch e.Code {
	case errMethod.Code:
		status = http.StatusMethodNotAllowed
	case errTooLarge.Code:
		status = http.StatusRequestEntityTooLarge
	case errMedia.Code:
		status = http.StatusUnsupportedMediaType
	case errSlow.Code:
		status = http.StatusRequestTimeout
	}
	return &problem{Status: status, Code: e.Code, Title: http.StatusText(status), Detail: e.Message, Details: e.Details,
		retryAfter: int(math.Ceil(e.RetryAfter.Seconds()))}
}

// refuse answers with what the client may know of err. A fault is logged here,
// once, and keeps its cause for the log alone.
func refuse(ctx context.Context, log *slog.Logger, err error) *problem {
	var e *model.Error
	switch {
	case errors.As(err, &e):
		return problemOf(e)
	case errors.Is(err, context.Canceled):
		return problemOf(model.ErrUnavailable)
	case service.StoreAway(err):
		log.WarnContext(ctx, "store away", "request_id", requestID(ctx), "error", err.Error())
		return problemOf(model.ErrUnavailable)
	}
	log.ErrorContext(ctx, "fault", "request_id", requestID(ctx), "error", err.Error())
	p := problemOf(errFault)
	p.RequestID = requestID(ctx)
	return p
}

// answerRefusal writes a refusal outside of huma.
func answerRefusal(w http.ResponseWriter, e *model.Error) { writeProblem(w, problemOf(e)) }

func writeProblem(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// What huma itself refuses has our form.
func init() {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false // a list may be empty, in what is sent and in what is answered; it is never null
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		p := humaProblem(status, errs)
		if len(p.Errors) > 0 && p.Code == errInput.Code {
			p.Detail = p.Errors[0].sentence(ctx.Operation(), askedOf(ctx.Context()).schemas)
		}
		return p
	}
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError { return humaProblem(status, errs) }
}

func humaProblem(status int, errs []error) *problem {
	e := errInput
	switch {
	case status == http.StatusRequestEntityTooLarge:
		e = errTooLarge
	case status == http.StatusUnsupportedMediaType:
		e = errMedia
	case status == http.StatusRequestTimeout:
		e = errSlow
	case status >= 500:
		e = errFault
	}
	p := problemOf(e)
	for _, err := range errs {
		var d huma.ErrorDetailer
		if status < 500 && errors.As(err, &d) {
			p.Errors = append(p.Errors, fieldProblemOf(d.ErrorDetail()))
		}
	}
	return p
}
