package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
)

// What strict JSON takes, every other parser takes for the same.
func FuzzStrictJSON(f *testing.F) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, seed := range []string{`{"a":1}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"b":[1,2,{"c":null}]}}`, `{}{}`, `{} `, `nul`, `"党\u65e5"`, `"\ud83d\ude00"`, `"\ud800"`, "\"\xff\"",
		`9007199254740991`, `9007199254740992`, `-9007199254740991`, `1e15`, `1e16`, `1e400`, `-0`, `01`, `1.`, `0.1`, "\ufeff{}", deep(32), deep(33), deep(3000),
		strings.Repeat(`{"a":`, 40), `[1,]`, `{"a"}`, "", " ", `{"a":1}//`, "{\"\x00\":1}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var strict any
		if err := strictJSON.Unmarshal(text, &strict); err != nil {
			return
		}
		var lenient any
		if err := json.Unmarshal(text, &lenient); err != nil {
			t.Fatalf("%q is no JSON: %v", text, err)
		}
		if !utf8.Valid(text) || !reflect.DeepEqual(strict, lenient) {
			t.Errorf("%q is %v to one and %v to the other", text, strict, lenient)
		}
		if n := depthOf(lenient); n > maxDepth {
			t.Errorf("%q is %d deep", text, n)
		}
		checkNumbers(t, lenient)
	})
}

func depthOf(v any) (depth int) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			depth = max(depth, depthOf(e))
		}
	case map[string]any:
		for _, e := range v {
			depth = max(depth, depthOf(e))
		}
	default:
		return 0
	}
	return depth + 1
}

func checkNumbers(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case float64:
		if v > maxNumber || v < -maxNumber {
			t.Errorf("a number like %g is taken", v)
		}
	case []any:
		for _, e := range v {
			checkNumbers(t, e)
		}
	case map[string]any:
		for _, e := range v {
			checkNumbers(t, e)
		}
	}
}

func TestStrictJSONEndsAtItsDepthAndItsNumbers(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for text, good := range map[string]bool{
		nested(maxDepth): true, nested(maxDepth + 1): false, "9007199254740991": true, "9007199254740992": false, "-9007199254740991": true, "-9007199254740992": false,
		"1e15": true, "1e16": false, "1e999": false, "0.1": true, `{"a":1,"A":2}`: true, `{"a":1,"a":1}`: false, `1 1`: false,
	} {
		var v any
		if err := strictJSON.Unmarshal([]byte(text), &v); (err == nil) != good {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

// A request that is let through has one reading: whoever takes its query apart
// finds each parameter once, with one value. Any other is refused in words of
// ours alone.
func FuzzPlainRequests(f *testing.F) {
	for _, query := range []string{"", "limit=5", "limit=5&limit=6", "a=1&%61=2", "a=1;b=2", "a=%zz", "a=%", "a", "=", "&&", "a=1&&b=2", "a+b=1&a%20b=2", "a=%00", "a=%ff", "党=日", "a[]=1&a[]=2", "limit=1&Limit=2"} {
		f.Add(query, "", "")
	}
	f.Add("a=1", "0123abcd", "identity")
	f.Add("a=1", "short", "gzip")
	f.Add("a=1", strings.Repeat("k", 65), "br")
	var through url.Values
	engine := gin.New()
	engine.Use(plainRequests)
	engine.POST("/", func(g *gin.Context) { through = g.Request.URL.Query() })
	f.Fuzz(func(t *testing.T, query, key, encoding string) {
		through = nil
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL.RawQuery = query
		for name, value := range map[string]string{"Idempotency-Key": key, "Content-Encoding": encoding} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, r)
		if through == nil {
			var p problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || w.Body.Len() > 1000 ||
				!slices.Contains([]string{errInput.Code, errMedia.Code, "invalid_field"}, p.Code) {
				t.Errorf("%q, %q, %q: refused with %d %.300s", query, key, encoding, w.Code, w.Body)
			}
			return
		}
		if w.Code != http.StatusOK || encoding != "" && encoding != "identity" || key != "" && strings.Trim(key, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") != "" {
			t.Errorf("%q, %q, %q: let through with %d", query, key, encoding, w.Code)
		}
		found := url.Values{}
		for part := range strings.SplitSeq(query, "&") {
			if part == "" {
				continue
			}
			name, value, _ := strings.Cut(part, "=")
			name, err := url.QueryUnescape(name)
			value, err2 := url.QueryUnescape(value)
			if err != nil || err2 != nil || found.Has(name) || strings.Contains(part, ";") {
				t.Errorf("%q is let through with %q", query, part)
			}
			found.Set(name, value)
		}
		if again, err := url.ParseQuery(through.Encode()); err != nil || !reflect.DeepEqual(through, found) || !reflect.DeepEqual(through, again) {
			t.Errorf("%q is %v to one and %v to the other, %v when written anew", query, through, found, again)
		}
	})
}
