package main

import (
	"encoding/json"
	"os"
	"testing"
)

func TestTheReferenceSaysWhatTheCodeSays(t *testing.T) {
	fresh, err := write("../..")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../api/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(fresh) != string(kept) {
		t.Error("api/reference.json is behind the code: run `make docs`")
	}
	var operations map[string]string
	if err := json.Unmarshal(fresh, &operations); err != nil || operations["checkIn"] == "" {
		t.Errorf("the reference does not know checkIn (%v)", err)
	}
}
