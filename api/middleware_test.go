package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
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
