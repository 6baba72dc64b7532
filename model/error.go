// Package model is what the business means: rows, pure rules, refusals and
// migrations. Its one law: nothing here knows HTTP, Redis or WeChat, and no
// rule reads the clock.
package model

import (
	"maps"
	"time"
)

// Kind says what sort of refusal an Error is; package api alone turns it into a status.
type Kind int

// The kinds of refusal.
const (
	Invalid Kind = iota + 1 // the request is wrong whatever the state
	Unauthenticated
	Forbidden // the caller may see the thing but not do this to it
	NotFound  // unknown, or not to be seen by the caller: the two look the same
	Conflict  // right request, wrong moment or state
	TooMany
	Unavailable // a store or the platform is away; try again
)

// Error is a refusal: something the caller may know and can act on. Any other
// error is a fault, which is logged and never shown.
type Error struct {
	Kind       Kind
	Code       string         // stable, for machines
	Message    string         // Chinese, says what to do
	Details    map[string]any // facts that help the caller, such as the first check-in's time
	RetryAfter time.Duration  // when asking again makes sense; zero where it never does
}

func (e *Error) Error() string { return e.Code }

// Is makes errors.Is true for two refusals with the same code, whatever their details.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// With returns a copy of the refusal that carries one more detail.
func (e *Error) With(key string, value any) *Error {
	c := *e
	c.Details = maps.Clone(e.Details)
	if c.Details == nil {
		c.Details = map[string]any{}
	}
	c.Details[key] = value
	return &c
}

// After returns a copy of the refusal that says when to ask again.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// Refusals that belong to no single feature.
var (
	ErrNotFound        = &Error{Kind: NotFound, Code: "not_found", Message: "没有找到，请返回上一页刷新后再试"}
	ErrForbidden       = &Error{Kind: Forbidden, Code: "forbidden", Message: "您没有办理这件事的权限，请联系党支部书记或上级党组织"}
	ErrChangedMeantime = &Error{Kind: Conflict, Code: "changed_meantime", Message: "内容刚刚被别人修改过，请刷新后再改"}
	ErrKeyReused       = &Error{Kind: Conflict, Code: "key_reused", Message: "同一个提交编号已用于另一项内容，请重新提交"}
	ErrTooMany         = &Error{Kind: TooMany, Code: "too_many", Message: "操作太频繁，请稍候再试"}
	ErrUnavailable     = &Error{Kind: Unavailable, Code: "unavailable", Message: "系统繁忙，请稍后再试", RetryAfter: 2 * time.Second}
)

// BadField refuses one field of an input, naming it in the details.
func BadField(field, message string) *Error {
	return (&Error{Kind: Invalid, Code: "invalid_field", Message: message}).With("field", field)
}
