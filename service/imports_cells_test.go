package service

import (
	"reflect"
	"strings"
	"testing"

	"dangri/model"
)

func TestAPhoneNumberIsReadHoweverItWasTyped(t *testing.T) {
	for cell, want := range map[string]string{
		"19900000101": "19900000101", "+86 199 0000 0101": "19900000101", "0086-199-0000-0101": "19900000101", "8619900000101": "19900000101",
		"１９９０００００１０１": "19900000101", "199\u20100000\u20130101": "19900000101", "\u202d19900000101\u202c": "19900000101",
		"": "", "1990000010": "", "199000001011": "", "12900000101": "", "29900000101": "", "19900000101/19900000102": "",
		"1990000010x": "", "1.99E+10": "", "05391234567": "", "+1 9900000101": "",
	} {
		if got, ok := phoneNumber(cell); got != want && ok || ok != (want != "") {
			t.Errorf("%q: got %q, %v", cell, got, ok)
		}
	}
}

func TestAPersonsNameLosesTheSpacesThatAlignIt(t *testing.T) {
	for cell, want := range map[string]string{
		"丁一": "丁一", "丁　一": "丁一", " 丁 \n 一 ": "丁一", "阿依古丽·买买提": "阿依古丽·买买提", "Anna Ding": "Anna Ding",
		"丁": "", "": "", "丁\u200b一": "", "丁\u202e一": "", "丁\x00一": "", strings.Repeat("丁", 51): "",
	} {
		if got, ok := personName(cell); ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %q, %v", cell, got, ok)
		}
	}
}

func TestPostsAreReadAsPeopleWriteThem(t *testing.T) {
	secretary, committee, leader := model.Secretary, model.CommitteeMember, model.GroupLeader
	for cell, want := range map[string][]model.PostKind{
		"": nil, "无": nil, "党员": nil, "普通党员": nil,
		"书记": {secretary}, "党支部书记": {secretary}, "支部书记": {secretary},
		"委员": {committee}, "组织委员": {committee}, "支委": {committee}, "副书记": {committee}, "宣传委员、纪检委员": {committee},
		"党小组长": {leader}, "组长": {leader}, "委员、党小组长": {committee, leader}, "委员兼党小组长": {committee, leader}, "委员，小组长": {committee, leader},
	} {
		if got, ok := postKinds(cell); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, %v", cell, got, ok)
		}
	}
	for _, cell := range []string{"站长", "书记处", "书记、站长", "名誉书记"} {
		if got, ok := postKinds(cell); ok {
			t.Errorf("%q was taken for %v", cell, got)
		}
	}
}

func TestAMaskedNumberKeepsThreeAndFourDigits(t *testing.T) {
	for phone, want := range map[string]string{"19900000101": "199****0101", "": "****", "1234567": "****"} {
		if got := maskPhone(phone); got != want {
			t.Errorf("%q: got %q", phone, got)
		}
	}
}
