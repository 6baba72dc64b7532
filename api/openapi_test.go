package api_test

import (
	"os"
	"os/exec"
	"testing"
)

func TestTheCommittedDocumentIsWhatTheCodeDescribes(t *testing.T) {
	fresh, err := exec.CommandContext(t.Context(), "go", "run", "..", "docs").Output()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(fresh) != string(kept) {
		t.Error("api/openapi.json is behind the code: run `make docs`")
	}
}
