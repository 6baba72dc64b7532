package wechat_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dangri/wechat"
)

func TestEachCodeOfThePlatformHasItsKind(t *testing.T) {
	kinds := map[string][]int64{
		wechat.KindBusy:           {-1, 45011, 43108},
		wechat.KindToken:          {40001, 40014, 42001, 41001},
		wechat.KindQuota:          {45009, 48006},
		wechat.KindNoSubscription: {43101},
		wechat.KindBadRecipient:   {40003, 61010},
		wechat.KindBadTemplate:    {40037},
		wechat.KindBadData:        {47003, 47001, 44002, 45002, 40129, 40169, 40097, 40212, 85401, 85402},
		wechat.KindBadPage:        {41030, 40165},
		wechat.KindBanned:         {43107, 43116, 43106},
		wechat.KindBadCode:        {40029, 40163, 41008},
		wechat.KindRisky:          {40226, 45168, 87014},
		wechat.KindConfig:         {40013, 40125, 40164, 41002, 41004, 48001, 40002, 99999999},
	}
	for kind, codes := range kinds {
		for _, code := range codes {
			server := scripted(t, says(fmt.Sprintf(`{"errcode":%d,"errmsg":"no rid: 66f1a2b3-1c2d3e4f-5a6b7c8d"}`, code)))
			_, err := connect(t, server.URL).Send(t.Context(), message("o1"))
			e := wantKind(t, err, kind)
			if e.Code != code || e.RID != "66f1a2b3-1c2d3e4f-5a6b7c8d" || e.Message != "no" {
				t.Errorf("got %+v", e)
			}
			// How a package that does not know this one reads the kind.
			var kinded interface{ Kind() string }
			if !errors.As(fmt.Errorf("send: %w", err), &kinded) || kinded.Kind() != kind {
				t.Errorf("%d: the kind is not to be read from outside", code)
			}
			if got := (&wechat.Error{API: e.API, Code: code}).Kind(); got != kind {
				t.Errorf("%d: an error made by hand has kind %s, want %s", code, got, kind)
			}
		}
	}
}

func TestRefusedDataNamesItsField(t *testing.T) {
	for words, field := range map[string]string{
		"argument invalid! data.thing3.value is emtpy rid: 1-2-3":             "thing3",
		"argument invalid! data.character_string12.value invalid, rid: 1-2-3": "character_string12",
		"argument invalid! data format error rid: 1-2-3":                      "",
	} {
		server := scripted(t, says(fmt.Sprintf(`{"errcode":"47003","errmsg":%q}`, words)))
		_, err := connect(t, server.URL).Send(t.Context(), message("o1"))
		e := wantKind(t, err, wechat.KindBadData)
		if e.Field != field || e.RID != "1-2-3" || strings.Contains(e.Message, "rid") {
			t.Errorf("%q: got %+v", words, e)
		}
	}
}

func TestAWrongSecretIsAConfigErrorAndARefusedTokenIsNot(t *testing.T) {
	server := scripted(t, says(`{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest"}`))
	_, err := connect(t, server.URL).Templates(t.Context())
	if e := wantKind(t, err, wechat.KindToken); e.API != "gettemplate" {
		t.Errorf("got %v", e)
	}
	if got := (&wechat.Error{API: "stable_token", Code: 40001}).Kind(); got != wechat.KindConfig {
		t.Errorf("got %s", got)
	}
}
