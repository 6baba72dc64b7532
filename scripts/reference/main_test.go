package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheReferenceSaysWhatTheCodeSays(t *testing.T) {
	for file, write := range files {
		fresh, err := write("../..")
		if err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		if string(fresh) != string(kept) {
			t.Errorf("%s is behind the code: run `make docs`", file)
		}
	}
	text, err := operations("../..")
	var all map[string]string
	if err != nil || json.Unmarshal(text, &all) != nil || all["checkIn"] == "" || !strings.HasPrefix(all["signIn"], "SignIn ") {
		t.Errorf("the reference does not know checkIn or signIn (%v)", err)
	}
	text, err = refusals("../..")
	var known []refusal
	if err != nil || json.Unmarshal(text, &known) != nil || len(known) < 50 {
		t.Errorf("the reference knows %d refusals (%v)", len(known), err)
	}
}
