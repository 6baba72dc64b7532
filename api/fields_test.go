package api_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// inDocument is a schema, or a parameter, as the document has it.
type inDocument struct {
	Ref         string `json:"$ref"`
	Name, In    string
	Description string
	Properties  map[string]*inDocument
	Items       *inDocument
}

func TestEveryFieldOfAnInputIsNamedInItsFirstWords(t *testing.T) {
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			Parameters  []inDocument
			RequestBody struct {
				Content map[string]struct{ Schema *inDocument }
			}
		}
		Components struct{ Schemas map[string]*inDocument }
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	check := func(field, description string) {
		name, _, _ := strings.Cut(description, "\n")
		if end := strings.IndexAny(name, "：；，。（"); end >= 0 {
			name = name[:end]
		}
		if !chinese(name) || utf8.RuneCountInString(name) > 20 {
			t.Errorf("%s is called %q", field, name)
		}
	}
	var walk func(at string, s *inDocument)
	walk = func(at string, s *inDocument) {
		if s.Ref != "" {
			s = doc.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
		}
		if s.Items != nil {
			walk(at+"[]", s.Items)
		}
		for name, p := range s.Properties {
			check(at+"."+name, p.Description)
			walk(at+"."+name, p)
		}
	}
	for _, operations := range doc.Paths {
		for _, op := range operations {
			for _, p := range op.Parameters {
				if p.In == "query" {
					check(op.OperationID+" "+p.Name, p.Description)
				}
			}
			for _, content := range op.RequestBody.Content {
				walk(op.OperationID, content.Schema)
			}
		}
	}
}

func TestARefusalOfAnInputSaysInASentenceWhatToMend(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		m := s.aMeeting(1)
		p := m.phone(m.secretary)
		draft := func(change ...any) *reply { return p.post("/v1/activities", m.draft(m.branch).with(change...)) }
		without := m.draft(m.branch)
		delete(without, "title")
		for detail, r := range map[string]*reply{
			"“标题”至少 2 个字，请改正后再提交":                                            draft("title", "学"),
			"“标题”应为文字，请改正后再提交":                                               draft("title", 7),
			"请填写“标题”":                                                        p.post("/v1/activities", without),
			"“开始时间”不是完整的时间，请重新选择":                                            draft("starts_at", "明天"),
			"“活动类别”不在可选的范围内，请重新选择":                                           draft("kind", "picnic"),
			"“学时”应为 0.5 的整数倍，请改正后再提交":                                        draft("credit_hours", 0.3),
			"“社区”太大了，请改正后再提交":                                                p.get("/v1/service-days?community_id=9007199254740992"),
			"“地点”的“名称”最多 100 个字，请改正后再提交":                                     draft("place", body{"name": strings.Repeat("长", 101)}),
			"“党小组或党员的编号”第 2 项应为整数，请改正后再提交":                                   draft("audience", "members", "targets", []any{1, "二"}),
			"“联办的支部”第 1 项的“支部的全称”至少 2 个字，请改正后再提交":                            p.put(m.path(m.id, "/series"), body{"rule": "FREQ=DAILY", "partners": []body{{"name": "一"}}}),
			"提交的内容有多余的字段，请更新小程序后再试":                                          draft("colour", "红"),
			"提交的内容有多余的参数，请更新小程序后再试":                                          p.get("/v1/activities?colour=red"),
			"提交的内容格式不对，请更新小程序后再试":                                            p.post("/v1/activities", `{"title":`),
			"“每页的条数”不能大于 100，请改正后再提交":                                        p.get("/v1/activities?limit=101"),
			"“月份”应为 2026-03 的形式，请改正后再提交":                                     p.get("/v1/burden?month=2026.03"),
			"网址里的编号不对，请返回上一页刷新后再试":                                           p.get("/v1/activities/x"),
			"“地址”应为打印页、Excel 或资料包的地址，如 /v1/activities/12/sheet.html，请改正后再提交": p.post("/v1/paper-links", body{"path": "/v1/home"}),
		} {
			want(t, r, 400, "invalid_input")
			checkProblem(t, r)
			var got struct{ Detail string }
			if err := json.Unmarshal(r.Body, &got); err != nil || got.Detail != detail {
				t.Errorf("%q, want %q", got.Detail, detail)
			}
		}
	})
}
