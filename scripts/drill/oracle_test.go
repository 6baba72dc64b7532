package main

import (
	"reflect"
	"testing"
	"time"
)

var at = time.Date(2026, 7, 7, 6, 30, 0, 0, time.UTC)

const told = `{"code":"ok","checked_in_at":"2026-07-07T06:30:00Z"}`

// honest is two people: one was answered at once, one after a retry whose
// first try was recorded and not answered, and then tapped again.
func honest() ([]attempt, []row) {
	return []attempt{
			{Person: 0, Nonce: "a", Status: 200, Code: "ok", Body: told},
			{Person: 1, Nonce: "b", Status: 0, Error: "EOF"},
			{Person: 1, Nonce: "b", Status: 503, Code: "unavailable"},
			{Person: 1, Nonce: "b", Status: 200, Code: "ok", Body: told},
			{Person: 1, Nonce: "b2", Status: 409, Code: "already_checked_in"},
		}, []row{
			{ActivityID: 1, MemberID: 1, Nonce: "a", At: at},
			{ActivityID: 1, MemberID: 2, Nonce: "b", At: at},
		}
}

func TestTheOracleFindsNothingInAnHonestRecord(t *testing.T) {
	if f := judge(honest()); !reflect.DeepEqual(f, findings{}) {
		t.Errorf("got %+v", f)
	}
}

func TestTheOracleFindsEachPlantedFlawAndNoOther(t *testing.T) {
	for name, flaw := range map[string]struct {
		plant func(tries []attempt, rows []row) ([]attempt, []row)
		found func(f *findings) *[]string
	}{
		"a row that vanished": {func(a []attempt, r []row) ([]attempt, []row) { return a, r[1:] },
			func(f *findings) *[]string { return &f.Lost }},
		"who was told to be in already and is not": {func(a []attempt, r []row) ([]attempt, []row) {
			return append(a, attempt{Person: 2, Nonce: "c", Status: 409, Code: "already_checked_in"}), r
		}, func(f *findings) *[]string { return &f.Lost }},
		"a second row": {func(a []attempt, r []row) ([]attempt, []row) { return a, append(r, r[0]) },
			func(f *findings) *[]string { return &f.Doubled }},
		"a row that nobody asked for": {func(a []attempt, r []row) ([]attempt, []row) {
			return a, append(r, row{ActivityID: 1, MemberID: 9, Nonce: "z", At: at})
		}, func(f *findings) *[]string { return &f.Strange }},
		"a retry answered in another way": {func(a []attempt, r []row) ([]attempt, []row) {
			return append([]attempt{{Person: 0, Nonce: "a", Status: 200, Code: "ok", Body: `{"late":true}`}}, a...), r
		}, func(f *findings) *[]string { return &f.Changed }},
		"another time on record": {func(a []attempt, r []row) ([]attempt, []row) {
			r[0].At = at.Add(time.Millisecond)
			return a, r
		}, func(f *findings) *[]string { return &f.Untrue }},
		"a session that seemed to have ended": {func(a []attempt, r []row) ([]attempt, []row) {
			return append(a, attempt{Person: 0, Nonce: "a", Status: 401, Code: "sign_in_again"}), r
		}, func(f *findings) *[]string { return &f.Unexpected }},
		"a fault": {func(a []attempt, r []row) ([]attempt, []row) {
			return append(a, attempt{Person: 0, Nonce: "a", Status: 500, Code: "fault"}), r
		}, func(f *findings) *[]string { return &f.Unexpected }},
	} {
		t.Run(name, func(t *testing.T) {
			f := judge(flaw.plant(honest()))
			if len(*flaw.found(&f)) != 1 {
				t.Errorf("not found: %+v", f)
			}
			*flaw.found(&f) = nil
			if !reflect.DeepEqual(f, findings{}) {
				t.Errorf("found besides: %+v", f)
			}
		})
	}
}
