package api_test

import (
	"bytes"
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

func TestTheDocumentDescribesNothingThatNothingUses(t *testing.T) {
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	for name := range readDocument(t).Components.Schemas {
		if !bytes.Contains(raw, []byte(`"#/components/schemas/`+name+`"`)) {
			t.Errorf("nothing in the document speaks of %s", name)
		}
	}
}
