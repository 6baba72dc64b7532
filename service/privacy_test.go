package service_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"dangri/model"
	"dangri/service/trial"
)

// stored is all that the database keeps: every row, and with SQLite the files
// as they lie on the disk.
func stored(t *testing.T, w *trial.World) string {
	t.Helper()
	var tables []string
	list := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if w.Store == trial.MySQL {
		list = "SHOW TABLES"
	}
	if err := w.DB.Raw(list).Scan(&tables).Error; err != nil || len(tables) < 10 {
		t.Fatalf("got tables %v, %v", tables, err)
	}
	var b strings.Builder
	for _, table := range tables {
		if strings.HasPrefix(table, "goose_") {
			continue
		}
		var rows []map[string]any
		if err := w.DB.Table(table).Find(&rows).Error; err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, table, rows)
	}
	if w.Store == trial.SQLite {
		var path string
		if err := w.DB.Raw("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path).Error; err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{path, path + "-wal"} {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(raw)
		}
	}
	return b.String()
}

// everything is all that the stores keep and all that was logged.
func everything(t *testing.T, w *trial.World) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(stored(t, w))
	for _, key := range w.Redis.Keys() {
		value, err := w.Parts.Redis.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, key, value)
	}
	b.WriteString(w.Log.String())
	return b.String()
}

func TestM2_NoPhoneNumberIsKeptInPlainText(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		must(t, w, o.Actor(o.secretary), o.branch.ID, roster(o.own(), "丁一,19912345678,,正式党员,,"))
		var member model.Member
		if err := w.DB.Take(&member, "name = '丁一'").Error; err != nil {
			t.Fatal(err)
		}
		v := newVisitor(t, w, w.WeChat.NewUser("19912345678"))
		if _, err := v.byPhone(t, w); err != nil {
			t.Fatal(err)
		}
		phone, err := w.Services.Members.RevealPhone(t.Context(), o.Actor(o.secretary), member.ID)
		if err != nil || phone.Phone != "19912345678" {
			t.Fatalf("got %+v, %v", phone, err)
		}
		w.Clock.Advance(time.Minute) // right after a change no copy of the session is kept
		warm(t, w, v.token)
		kept := everything(t, w)
		for _, canary := range []string{"19912345678", "991234567", o.secretary.Phone} {
			if strings.Contains(kept, canary) {
				t.Errorf("%s is kept in plain text", canary)
			}
		}
		if !strings.Contains(kept, "丁一") {
			t.Error("the search does not find what is kept")
		}
	})
}

func TestM1_TheLogHoldsNoNameNoPhoneNoTokenAndNoOpenID(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		p := w.Member(o.branch, "丁一")
		token := w.SignIn(p)
		w.Redis.Cut()
		for range 10 { // the breaker's own words are in the log
			refused(t, "a session", call(t, w.Services, token), nil)
		}
		w.CutDatabase()
		away(t, "a session", call(t, w.Services, token))
		w.ReviveDatabase()
		log := w.Log.String()
		if log == "" {
			t.Fatal("nothing was logged: there is nothing to search")
		}
		for _, secret := range []string{p.Name, p.Phone, token, p.User.OpenID, o.secretary.Name} {
			if strings.Contains(log, secret) {
				t.Errorf("the log holds %s", secret)
			}
		}
	})
}

func TestM4_ASealedNumberMovedToAnotherMemberDoesNotOpen(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		o := newOffice(w, "第一党支部")
		p, other := w.Member(o.branch, "丁一"), w.Member(o.branch, "丁二")
		var row model.MemberPhone
		if err := w.DB.Take(&row, "member_id = ?", other.ID).Error; err != nil {
			t.Fatal(err)
		}
		if err := w.DB.Model(&model.MemberPhone{}).Where("member_id = ?", p.ID).Update("sealed", row.Sealed).Error; err != nil {
			t.Fatal(err)
		}
		got, err := w.Services.Members.RevealPhone(t.Context(), o.Actor(o.secretary), p.ID)
		if err == nil || strings.Contains(err.Error(), other.Phone) {
			t.Errorf("got %+v, %v; want an error that shows nothing", got, err)
		}
		if got, err := w.Services.Members.RevealPhone(t.Context(), o.Actor(o.secretary), other.ID); err != nil || got.Phone != other.Phone {
			t.Errorf("in its own place: %+v, %v", got, err)
		}
	})
}
