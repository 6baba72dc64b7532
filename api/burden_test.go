package api

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/gin-gonic/gin"

	"dangri/service"
)

func TestEveryOperationThatAsksSomethingSaysOfWhomAndByWhichClause(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	document := Describe(gin.New(), nil, slog.New(slog.DiscardHandler)).OpenAPI()
	known := map[string]bool{}
	for _, op := range writes(document) {
		known[op.OperationID] = true
		a, asked := asks[op.OperationID]
		office := slices.Contains(officeWork, op.OperationID)
		if asked == office {
			t.Errorf("%s stands in asks (%v) and in officeWork (%v): say in one of them whose work it is", op.OperationID, asked, office)
		}
		if asked && (a.taps < 1 || a.clause == "") {
			t.Errorf("%s: taps and the clause that calls for it are missing", op.OperationID)
		}
		if !asked && new(service.Burden).Counted(op.OperationID) {
			t.Errorf("%s is counted and not asked of members", op.OperationID)
		}
	}
	for id := range asks {
		if !known[id] {
			t.Errorf("%s is no operation", id)
		}
	}
	for _, id := range officeWork {
		if !known[id] {
			t.Errorf("%s is no operation", id)
		}
	}
	for id, want := range map[string][2]int{"signIn": {1, 0}, "complain": {2, 2}, "signOut": {0, 0}} {
		for _, op := range writes(document) {
			if required, optional := fieldsOf(document, op); op.OperationID == id && (required != want[0] || optional != want[1]) {
				t.Errorf("%s asks for %d and %d fields, want %v", id, required, optional, want)
			}
		}
	}
}
