package api

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"dangri/service"
)

// What huma says of an input is put in our words, without echoing any of it.
func init() {
	validation.MsgUnexpectedProperty = "有多余的字段"
	validation.MsgExpectedRequiredProperty = missing + "%s"
	validation.MsgExpectedString = "应为文字"
	validation.MsgExpectedInteger = "应为整数"
	validation.MsgExpectedNumber = "应为数字"
	validation.MsgExpectedBoolean = "应为 true 或 false"
	validation.MsgExpectedArray = "应为数组"
	validation.MsgExpectedObject = "应为对象"
	validation.MsgExpectedOneOf = oneOf + "%s"
	validation.MsgExpectedMinLength = "至少 %d 个字"
	validation.MsgExpectedMaxLength = "最多 %d 个字"
	validation.MsgExpectedMinimumNumber = "不能小于 %v"
	validation.MsgExpectedMaximumNumber = "不能大于 %v"
	validation.MsgExpectedNumberBeMultipleOf = "应为 %v 的整数倍"
	validation.MsgExpectedMinItems = "至少 %d 项"
	validation.MsgExpectedMaxItems = "最多 %d 项"
	validation.MsgExpectedMatchPattern = matching + "%s"
	validation.MsgExpectedRFC3339DateTime = "应为带时区的时间，如 2026-07-01T14:00:00+08:00"
}

const (
	missing  = "缺少 "
	oneOf    = "应为这些值之一："
	matching = "应符合 "
	surplus  = "有多余的参数"
	odd      = "格式不对"
)

// paperPath is what the address of a paper looks like.
var paperPath = func() string {
	field, _ := reflect.TypeFor[service.PaperLinkInput]().FieldByName("Path")
	return field.Tag.Get("pattern")
}()

// patterns are those of the API as people read them.
var patterns = map[string]string{
	`^([0-9]{4}-[0-9]{2}-[0-9]{2})?$`: "应为 2026-03-10 的形式",
	`^([0-9]{4}-[0-9]{2})?$`:          "应为 2026-03 的形式",
	paperPath:                         "应为打印页、Excel 或资料包的地址，如 /v1/activities/12/sheet.html",
}

// fieldProblemOf keeps what is ours of a detail: the name of a field that we do
// not know, and what a parser says of a text, come from the client.
func fieldProblemOf(d *huma.ErrorDetail) fieldProblem {
	p := fieldProblem{Location: d.Location, Message: d.Message}
	if pattern, ok := strings.CutPrefix(d.Message, matching); ok {
		p.Message = cmp.Or(patterns[pattern], "只能用字母、数字、“-”和“_”")
	}
	switch {
	case strings.HasPrefix(d.Location, "query.") && d.Message == "unknown query parameter":
		p.Location, p.Message = "query", surplus
	case d.Message == validation.MsgUnexpectedProperty:
		p.Location, _, _ = strings.Cut(d.Location, ".")
	case strings.Contains(d.Message, "e+"): // the largest id, in the notation of large numbers
		p.Message = "太大了"
	case !strings.ContainsFunc(d.Message, isHan):
		p.Message = odd
	}
	return p
}

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }

// sentence says what to mend to whoever filled in a form. What only a program can
// have got wrong sends them to a newer one.
func (p fieldProblem) sentence(op *huma.Operation, schemas huma.Registry) string {
	name, absent := strings.CutPrefix(p.Message, missing)
	place := p.Location
	if absent {
		place += "." + name
	}
	in, _, _ := strings.Cut(place, ".")
	called := calledAt(op, schemas, place)
	switch {
	case in == "path":
		return "网址里的编号不对，请返回上一页刷新后再试"
	case called == "":
		return "提交的内容" + p.Message + "，请更新小程序后再试"
	case absent:
		return "请填写" + called
	case strings.HasPrefix(p.Message, oneOf):
		return called + "不在可选的范围内，请重新选择"
	case p.Message == validation.MsgExpectedRFC3339DateTime:
		return called + "不是完整的时间，请重新选择"
	}
	return called + p.Message + "，请改正后再提交"
}

var item = regexp.MustCompile(`^([^\[]+)(?:\[([0-9]+)\])?$`)

// calledAt is what people call the field at a place of the operation's input, such
// as “岗位”第 2 项的“结束时间”; empty where there is none.
func calledAt(op *huma.Operation, schemas huma.Registry, place string) string {
	in, rest, _ := strings.Cut(place, ".")
	if in == "query" {
		for _, p := range op.Parameters {
			if p.In == in && p.Name == rest {
				return "“" + calledBy(p.Description) + "”"
			}
		}
		return ""
	}
	if in != "body" || rest == "" || op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
		return ""
	}
	var called []string
	s := op.RequestBody.Content["application/json"].Schema
	for step := range strings.SplitSeq(rest, ".") {
		part := item.FindStringSubmatch(step)
		s = resolved(s, schemas)
		if part == nil || s == nil || s.Properties[part[1]] == nil {
			return ""
		}
		s = s.Properties[part[1]]
		words := "“" + calledBy(s.Description) + "”"
		if part[2] != "" {
			n, _ := strconv.Atoi(part[2])
			words += fmt.Sprintf("第 %d 项", n+1)
			if s = resolved(s, schemas); s != nil {
				s = s.Items
			}
		}
		called = append(called, words)
	}
	return strings.Join(called, "的")
}

func resolved(s *huma.Schema, schemas huma.Registry) *huma.Schema {
	if s != nil && s.Ref != "" {
		return schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// calledBy is the name of a field: the first words of its description.
func calledBy(description string) string {
	name, _, _ := strings.Cut(description, "\n")
	if end := strings.IndexAny(name, "：；，。（"); end >= 0 {
		name = name[:end]
	}
	return name
}
