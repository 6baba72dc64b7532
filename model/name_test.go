package model

import "testing"

func TestAHallReadsSurnamesAlone(t *testing.T) {
	for name, want := range map[string]string{"王小明": "王某", "欧阳修": "欧阳某", "欧阳": "欧某", "李": "李某", "": "", "Anna": "A某", "𠮷田": "𠮷某"} {
		if got := SurnameOnly(name); got != want {
			t.Errorf("%s is read as %s, want %s", name, got, want)
		}
	}
}
