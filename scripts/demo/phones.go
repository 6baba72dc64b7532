package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// phone is one person with WeChat open.
type phone struct {
	Person
	openID   string
	token    string
	memberID uint64
}

// answer is what the service said: its code is "ok", or that of a refusal.
type answer struct {
	Status  int
	Header  http.Header
	Body    []byte
	Code    string
	Detail  string
	Details map[string]any
}

// ask sends one request as the person, who may be nil: in is a value for JSON,
// or a reader of anything else.
func (s *Story) ask(ctx context.Context, who *phone, method, path string, in any, header ...string) (*answer, error) {
	body, ready := in.(io.Reader)
	if in != nil && !ready {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.API+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if in != nil && !ready {
		request.Header.Set("Content-Type", "application/json")
	}
	if who != nil && who.token != "" {
		request.Header.Set("Authorization", "Bearer "+who.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	status, got, raw, err := s.exchange(request)
	if err != nil {
		return nil, err
	}
	a := &answer{Status: status, Header: got, Body: raw, Code: "ok"}
	if strings.HasPrefix(got.Get("Content-Type"), "application/problem+json") {
		var problem struct {
			Code    string         `json:"code"`
			Detail  string         `json:"detail"`
			Details map[string]any `json:"details"`
		}
		if err := json.Unmarshal(raw, &problem); err != nil {
			return nil, fmt.Errorf("%s %s answers %d with an unreadable problem: %w", method, path, status, err)
		}
		a.Code, a.Detail, a.Details = problem.Code, problem.Detail, problem.Details
	}
	return a, nil
}

func (s *Story) exchange(r *http.Request) (int, http.Header, []byte, error) {
	s.requests.Add(1)
	response, err := s.client.Do(r)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	return response.StatusCode, response.Header, raw, nil
}

// must is ask where the story cannot go on after a refusal.
func must[Out any](ctx context.Context, s *Story, who *phone, method, path string, in any) (out Out, err error) {
	a, err := s.ask(ctx, who, method, path, in)
	if err != nil {
		return out, err
	}
	return read[Out](a, method, path)
}

func read[Out any](a *answer, method, path string) (out Out, err error) {
	if a.Status != http.StatusOK {
		return out, fmt.Errorf("%s %s 没有成功：%d %s「%s」", method, path, a.Status, a.Code, a.Detail)
	}
	if err := json.Unmarshal(a.Body, &out); err != nil {
		return out, fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return out, nil
}

// simulate asks the simulator to be a phone.
func (s *Story) simulate(ctx context.Context, path string, in any) (out struct {
	OpenID string `json:"openid"`
	Code   string `json:"code"`
}, err error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return out, fmt.Errorf("simulator %s: %w", path, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Simulator+"/_sim/"+path, bytes.NewReader(raw))
	if err != nil {
		return out, fmt.Errorf("simulator %s: %w", path, err)
	}
	status, _, answer, err := s.exchange(request)
	if err != nil {
		return out, err
	}
	if status != http.StatusOK {
		return out, fmt.Errorf("模拟器没有回应 %s：%d", path, status)
	}
	return out, json.Unmarshal(answer, &out)
}

// signedIn is what the service says of a new session.
type signedIn struct {
	Token string `json:"token"`
	Bound bool   `json:"bound"`
}

// pickUp gives the person a phone with a number and signs in with it.
func (s *Story) pickUp(ctx context.Context, p Person, number string) (*phone, error) {
	user, err := s.simulate(ctx, "users", map[string]string{"phone": number})
	if err != nil {
		return nil, err
	}
	who := &phone{Person: p, openID: user.OpenID}
	return who, s.signIn(ctx, who)
}

// signIn opens the mini-program: wx.login, and the service's session for it.
func (s *Story) signIn(ctx context.Context, who *phone) error {
	login, err := s.simulate(ctx, "users/"+who.openID+"/login-code", struct{}{})
	if err != nil {
		return err
	}
	session, err := must[signedIn](ctx, s, nil, http.MethodPost, "/v1/sessions", map[string]string{"code": login.Code})
	who.token = session.Token
	return err
}

// bind is the tap on 验证手机号.
func (s *Story) bind(ctx context.Context, who *phone) (*answer, error) {
	number, err := s.simulate(ctx, "users/"+who.openID+"/phone-code", struct{}{})
	if err != nil {
		return nil, err
	}
	return s.bindBy(ctx, who, map[string]string{"phone_code": number.Code})
}

func (s *Story) bindBy(ctx context.Context, who *phone, proof map[string]string) (*answer, error) {
	a, err := s.ask(ctx, who, http.MethodPost, "/v1/me/binding", proof)
	if err != nil || a.Status != http.StatusOK {
		return a, err
	}
	member, err := read[struct {
		ID   uint64 `json:"id"`
		Name string `json:"name"`
	}](a, http.MethodPost, "/v1/me/binding")
	if err == nil && member.Name != who.Name {
		err = fmt.Errorf("%s 绑定成了 %s", who.Name, member.Name)
	}
	who.memberID = member.ID
	return a, err
}
