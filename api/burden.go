package api

import (
	"cmp"
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"dangri/model"
)

// ask is something that a member is asked for: how many taps it takes at least,
// and what calls for it.
type ask struct {
	taps   int
	clause string
}

// asks is everything that is asked of members. Every other operation that
// changes something is the work of who holds a post, and listed in officeWork:
// one that is in neither fails a test.
var asks = map[string]ask{
	"signIn":                        {1, "微信身份，登录后不再重复"},
	"signOut":                       {2, "本人自愿"},
	"endSessions":                   {2, "本人自愿"},
	"bindMember":                    {2, "确认党员身份，只做一次（支部工作条例：党员编入支部）"},
	"checkIn":                       {2, "《意见》三（二）固定学习日；支部工作条例第十六条主题党日"},
	"checkOut":                      {2, "《意见》三（二）学时：有签退要求的活动，到和离都记"},
	"requestLeave":                  {3, "支部工作条例第十六条主题党日：不能到会的请假"},
	"withdrawLeave":                 {2, "本人自愿"},
	"requestLateRecord":             {3, "本人自愿：到了会而没有记上的，请书记补记"},
	"uploadOfflineCheckIns":         {1, "同签到：没有网络时先记在手机上"},
	"reportConsents":                {1, "本人自愿：要不要微信提醒"},
	"registerWithCommunity":         {3, "《意见》三（五）在职党员到社区报到"},
	"withdrawCommunityRegistration": {2, "《意见》三（五）在职党员到社区报到"},
	"signUpForSlot":                 {2, "《意见》三（五）固定服务日"},
	"joinWaitingList":               {2, "本人自愿"},
	"leaveWaitingList":              {2, "本人自愿"},
	"answerOffer":                   {1, "本人自愿：要不要候补到的名额"},
	"cancelSignUp":                  {2, "本人自愿"},
	"checkInToService":              {2, "《意见》三（五）固定服务日"},
	"checkOutOfService":             {2, "《意见》三（五）固定服务日"},
	"explainAbsence":                {2, "本人自愿"},
	"objectToHours":                 {2, "本人自愿"},
	"pairHousehold":                 {3, "《意见》三（五）结亲连心"},
	"endHouseholdPairing":           {2, "《意见》三（五）结亲连心"},
	"recordHouseholdVisit":          {3, "《意见》三（五）结亲连心"},
	"complain":                      {3, "本人自愿（国办函〔2026〕12号：群众可以反映指尖上的形式主义）"},
}

// officeWork is what those do who hold a post.
var officeWork = []string{
	"draftActivity", "editActivity", "annulCheckIn", "recordAttendance", "cancelActivity", "newCheckInCode", "closeActivity", "correctAttendance",
	"exemptMember", "editSeries", "inviteBranch", "withdrawJointInvitation", "answerJointInvitation", "recordMinutes", "signMinutes", "attachPhoto", "removePhoto",
	"publishActivity", "restoreActivity", "endSeries", "repeatActivity", "recordVote", "annulVote", "confirmFeedbackSlip", "confirmCommunityRegistration",
	"answerComplaint", "answerObjection", "confirmHouseholdVisit", "updateMember", "unbindMember", "eraseMember", "inviteMember", "endMembership",
	"transferMember", "addOrganisation", "importOrganisations", "updateOrganisation", "importRoster", "importServiceHours", "grantPost", "endPost",
	"draftServiceDay", "editServiceDay", "repeatServiceDay", "cancelServiceDay", "newServiceDayCode", "confirmServiceHours", "tickServicePresence",
	"publishServiceNeed", "rewordServiceDay", "setSlotCapacity", "signUpMembers", "recordPaperSheet", "showScreen", "linkPaper", "recordMovement", "decideLeave", "decideLateRecord",
}

type burdenRequest struct {
	Month string `query:"month" maxLength:"7" pattern:"^([0-9]{4}-[0-9]{2})?$" doc:"月份，如 2026-03；不给就是这个月"`
}

// burdenReport is what was asked of members in a month, in sums and averages.
type burdenReport struct {
	Month           string       `json:"month"`
	Members         int64        `json:"members"`
	FieldsPerMember float64      `json:"fields_per_member" doc:"平均每人填了多少项必填内容"`
	TapsPerMember   float64      `json:"taps_per_member" doc:"平均每人至少点了多少下"`
	Lines           []burdenLine `json:"lines"`
}

type burdenLine struct {
	Operation string  `json:"operation"`
	What      string  `json:"what"`
	Clause    string  `json:"clause" doc:"依据"`
	Required  int     `json:"required" doc:"必填几项"`
	Optional  int     `json:"optional" doc:"选填几项"`
	Taps      int     `json:"taps" doc:"至少点几下"`
	Counted   bool    `json:"counted" doc:"false 表示不单独记录次数"`
	Times     int64   `json:"times" doc:"本月次数"`
	PerMember float64 `json:"per_member" doc:"人均次数"`
}

// burden joins what the API's own document asks with how often it was done.
func burden(r *router) useCase[burdenRequest, *burdenReport] {
	return func(ctx context.Context, actor *model.Actor, in *burdenRequest) (*burdenReport, error) {
		counts, err := r.services.Burden.Month(ctx, actor, in.Month)
		if err != nil {
			return nil, err
		}
		out := &burdenReport{Month: counts.Month, Members: counts.Members}
		for _, op := range writes(r.api.OpenAPI()) {
			a, asked := asks[op.OperationID]
			if !asked {
				continue
			}
			line := burdenLine{Operation: op.OperationID, What: op.Summary, Clause: a.clause, Taps: a.taps,
				Counted: r.services.Burden.Counted(op.OperationID), Times: counts.Times[op.OperationID]}
			line.Required, line.Optional = fieldsOf(r.api.OpenAPI(), op)
			if out.Members > 0 {
				line.PerMember = float64(line.Times) / float64(out.Members)
			}
			out.FieldsPerMember += line.PerMember * float64(line.Required)
			out.TapsPerMember += line.PerMember * float64(line.Taps)
			out.Lines = append(out.Lines, line)
		}
		return out, nil
	}
}

// writes are the operations that change something, by id.
func writes(document *huma.OpenAPI) []*huma.Operation {
	var out []*huma.Operation
	for _, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Post, item.Put, item.Delete, item.Patch} {
			if op != nil {
				out = append(out, op)
			}
		}
	}
	slices.SortFunc(out, func(a, b *huma.Operation) int { return cmp.Compare(a.OperationID, b.OperationID) })
	return out
}

// fieldsOf is how many fields of an operation's body must and may be filled in;
// the nonce is the phone's affair.
func fieldsOf(document *huma.OpenAPI, op *huma.Operation) (required, optional int) {
	if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
		return 0, 0
	}
	return schemaFields(document, op.RequestBody.Content["application/json"].Schema, 0)
}

func schemaFields(document *huma.OpenAPI, s *huma.Schema, depth int) (required, optional int) {
	if s != nil && s.Ref != "" {
		s = document.Components.Schemas.SchemaFromRef(s.Ref)
	}
	if s == nil || depth > 4 {
		return 0, 0
	}
	for name, p := range s.Properties {
		if name == "nonce" || name == "$schema" {
			continue
		}
		must, may := schemaFields(document, p, depth+1)
		if must+may == 0 {
			must = 1
		}
		if !slices.Contains(s.Required, name) {
			must, may = 0, must+may
		}
		required, optional = required+must, optional+may
	}
	return required, optional
}

var burdenSheet = paper("burden")

func burdenPage(r *router) useCase[burdenRequest, []byte] {
	return func(ctx context.Context, actor *model.Actor, in *burdenRequest) ([]byte, error) {
		report, err := burden(r)(ctx, actor, in)
		return drawn(burdenSheet)(report, err)
	}
}
