package wechat

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

// unreachable is a transport that nothing may get to.
type unreachable struct{ t *testing.T }

func (u unreachable) RoundTrip(r *http.Request) (*http.Response, error) {
	u.t.Errorf("%s was let through", r.URL)
	return nil, errRoute
}

func TestARoutedRequestStillGoesToThePlatformsAddressOnly(t *testing.T) {
	ctx := context.WithValue(t.Context(), routeKey{}, &route{"http", "127.0.0.1:1", unreachable{t}})
	for _, address := range []string{
		"http://api.weixin.qq.com/", "https://api.weixin.qq.com:444/", "https://api.weixin.qq.com.evil.cn/", "https://evil.cn/", "http://127.0.0.1:1/",
	} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (gate{}).RoundTrip(r); !errors.Is(err, errRoute) {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

func TestALoopbackNameThatResolvesElsewhereIsNotDialled(t *testing.T) {
	to, ok := newRoute("http://localhost:8090")
	if !ok {
		t.Fatal("refused")
	}
	// What a resolver would hand to the dialler for a poisoned name.
	for _, address := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "169.254.169.254:80"} {
		_, err := to.next.(*http.Transport).DialContext(t.Context(), "tcp", address)
		if !errors.Is(err, errRoute) {
			t.Errorf("%s: got %v", address, err)
		}
	}
}
