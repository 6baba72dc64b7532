package model

import "slices"

// compoundSurnames are the surnames of two characters that are not rare.
var compoundSurnames = []string{"欧阳", "司马", "上官", "诸葛", "司徒", "东方", "皇甫", "尉迟", "公孙", "令狐", "宇文", "长孙", "慕容", "夏侯", "端木", "独孤", "南宫", "百里", "东郭", "轩辕"}

// SurnameOnly is a name as it may be read by everybody in a hall: 王某.
func SurnameOnly(name string) string {
	all := []rune(name)
	switch {
	case len(all) == 0:
		return ""
	case len(all) > 2 && slices.Contains(compoundSurnames, string(all[:2])):
		return string(all[:2]) + "某"
	}
	return string(all[:1]) + "某"
}
