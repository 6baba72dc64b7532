package api_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"dangri/api"
	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

// Table K: who may see and do what.

// role is what a caller is in the land they belong to, or above it.
type role int

const (
	nobody        role = iota // no session
	unbound                   // a session, and no member behind it
	member                    // of the branch
	leader                    // of a party group of the branch
	committee                 // member of the branch's committee
	secretary                 // of the branch
	supervisor                // of the organisation above the branch
	administrator             // of the tree that the branch is in
	liaison                   // of the community beside the branch
	foreign                   // any of the members, leaders … liaisons, towards a land that is not theirs
	unknown                   // all of them, towards what does not exist
	roles
)

var roleNames = [roles]string{"nobody", "unbound", "member", "leader", "committee", "secretary", "supervisor", "administrator", "liaison", "foreign", "unknown"}

// access is who may call an operation: the status that each role is answered
// with. A row that is not about a land is tried once for each caller.
type access struct {
	id       string // of the operation, with what is tried after a slash
	anyLand  bool
	call     func(g *ground, l *land, c *caller) call
	outcomes [roles]int
	abroad   map[role]int // foreign, where it differs by role
}

// call is a valid request.
type call struct {
	path    string
	body    any
	headers []string
}

// The table. An operation that is missing fails the test, and so does a status
// that is not the one in its row. Where foreign and unknown are 404, the two
// answers must be the same, byte by byte.
var accessTable = []access{
	// nobody unbound, member leader committee secretary, supervisor administrator liaison, foreign unknown
	{"signIn", true, func(g *ground, _ *land, _ *caller) call {
		return call{path: "/v1/sessions", body: body{"code": g.Stranger().LoginCode()}}
	}, [roles]int{200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"signOut", true, to("/v1/sessions/current"), [roles]int{401, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"endSessions", true, to("/v1/sessions"), [roles]int{401, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"bindMember", true, with("/v1/me/binding", body{"invitation": "ABCD-EFGH-JK"}), [roles]int{401, 409, 409, 409, 409, 409, 409, 409, 409, 409, 409}, nil},
	{"memberCode", true, to("/v1/me/code"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"home", true, to("/v1/home"), [roles]int{401, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},

	{"listActivities/mine", true, to("/v1/activities?limit=100"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"listActivities/work", true, to("/v1/activities?scope=work&limit=100"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"draftActivity", false, func(g *ground, l *land, _ *caller) call {
		return call{path: "/v1/activities", body: g.draft(l.branch).with("title", "草稿"+l.canary)}
	}, [roles]int{401, 403, 404, 404, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"showActivity", false, activity(model.Published, ""), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"showActivity/draft", false, activity(model.Draft, ""), [roles]int{401, 403, 404, 404, 200, 200, 404, 200, 404, 404, 404}, nil},
	{"editActivity", false, func(g *ground, l *land, _ *caller) call {
		now := g.Clock.Now() // it has begun, and its start stays
		b := g.draft(l.branch).with("version", 1, "title", "修改"+l.canary, "starts_at", now, "ends_at", now.Add(2*time.Hour), "late_after_minutes", 0, "credit_hours", 0)
		delete(b, "organisation_id")
		delete(b, "nonce")
		return call{path: g.path(g.activity(l, model.Published), ""), body: b}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"publishActivity", false, activity(model.Draft, "/publication"), [roles]int{401, 403, 404, 404, 200, 200, 404, 200, 404, 404, 404}, nil},
	{"cancelActivity", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Published), "/cancellation"), body: body{"reason": "停电" + l.canary}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"restoreActivity", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Cancelled), "/restoration"), body: body{"reason": "来电了" + l.canary}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"showSeries", false, func(g *ground, l *land, _ *caller) call { return call{path: g.path(g.series(l), "/series")} },
		[roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"repeatActivity", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Published), "/series"), body: body{"rule": "FREQ=YEARLY"}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"editSeries", false, func(g *ground, l *land, _ *caller) call {
		now := g.Clock.Now()
		b := g.draft(l.branch).with("version", 1, "title", "修改"+l.canary, "starts_at", now, "ends_at", now.Add(2*time.Hour), "late_after_minutes", 0, "credit_hours", 0)
		delete(b, "organisation_id")
		delete(b, "nonce")
		return call{path: g.path(g.series(l), "/following"), body: b}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"endSeries", false, func(g *ground, l *land, _ *caller) call { return call{path: g.path(g.series(l), "/series")} },
		[roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"listJointInvitations", true, to("/v1/joint-invitations"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"listJointBranches", false, func(g *ground, l *land, _ *caller) call {
		id, _ := g.joint(l, l.branch.ID, 0)
		return call{path: g.path(id, "/joint-branches")}
	}, [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"inviteBranch", false, func(g *ground, l *land, _ *caller) call {
		name := g.unique("支部")
		if !l.unknown {
			g.Organisation(&model.Organisation{ID: l.above}, model.Branch, name)
		}
		return call{path: g.path(g.activityAt(l, model.Published, 60), "/joint-branches"), body: body{"name": name}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"withdrawJointInvitation", false, func(g *ground, l *land, _ *caller) call {
		id, partner := g.joint(l, l.branch.ID, 0)
		return call{path: g.path(id, "/joint-branches/"+jsonText(partner))}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"answerJointInvitation", false, func(g *ground, l *land, _ *caller) call {
		id, partner := g.joint(l, 0, l.branch.ID)
		return call{path: g.path(id, "/joint-branches/"+jsonText(partner)+"/answer"), body: body{"accept": true}}
	}, [roles]int{401, 403, 404, 404, 200, 200, 403, 200, 404, 404, 404}, nil},

	{"checkIn/code", false, func(g *ground, l *land, _ *caller) call {
		return call{path: "/v1/check-ins", body: body{"code": g.code(l).Code, "nonce": nonce()}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 409, 409, 409, 409, 409}, nil}, // a code is proof of having been there
	{"checkIn/digits", false, func(g *ground, l *land, _ *caller) call {
		c := g.code(l)
		return call{path: "/v1/check-ins", body: body{"digits": c.Digits, "activity_id": c.ActivityID, "nonce": nonce()}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 404, 404, 404, 404, 404}, nil},
	{"checkInCode", false, activity(model.Published, "/check-in-code"), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"newCheckInCode", false, activity(model.Published, "/check-in-code"), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"recordAttendance", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Published), "/attendances"),
			body: body{"member_id": l.victim, "status": "present", "reason": "代记" + l.canary, "nonce": nonce()}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"checkOut", false, func(g *ground, l *land, _ *caller) call {
		c := g.code(l)
		g.leaving(c.ActivityID, l)
		return call{path: "/v1/check-outs", body: body{"code": c.Code, "nonce": nonce()}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 409, 409, 409, 409, 409}, nil},
	{"checkOut/digits", false, func(g *ground, l *land, _ *caller) call {
		c := g.code(l)
		g.leaving(c.ActivityID, l)
		return call{path: "/v1/check-outs", body: body{"digits": c.Digits, "activity_id": c.ActivityID, "nonce": nonce()}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 404, 404, 404, 404, 404}, nil},
	{"recordMovement", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.leaving(g.activity(l, model.Published), l), "/movements"),
			body: body{"member_id": l.victim, "direction": "out", "reason": "先走" + l.canary, "nonce": nonce()}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"ownStay", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.leaving(g.activity(l, model.Published), l), "/stay")}
	}, [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"signals", false, func(g *ground, l *land, _ *caller) call {
		id := g.activity(l, model.Published)
		g.attendance(l, id)
		return call{path: g.path(id, "/signals")}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"listApprovals", true, to("/v1/approvals"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"listRequests", false, activity(model.Published, "/requests"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"requestLeave", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Published), "/leave-requests"), body: body{"status": "sick_leave", "note": "发烧" + l.canary, "nonce": nonce()}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 409, 409, 404, 404, 404}, nil},
	{"decideLeave", false, decision("/v1/leave-requests/", (*ground).leaveAsked), [roles]int{401, 403, 404, 404, 200, 200, 404, 200, 404, 404, 404}, nil},
	{"withdrawLeave", false, func(g *ground, l *land, _ *caller) call {
		return call{path: "/v1/leave-requests/" + jsonText(g.leaveAsked(l)) + "/withdrawal"}
	}, [roles]int{401, 403, 404, 404, 404, 404, 404, 404, 404, 404, 404}, nil}, // the victim's own alone
	{"requestLateRecord", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Closed), "/late-records"), body: body{"member_id": l.victim, "reason": "手机没电" + l.canary, "nonce": nonce()}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"decideLateRecord", false, decision("/v1/late-records/", (*ground).lateRecordAsked), [roles]int{401, 403, 404, 404, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"lateRecordFigures", false, func(_ *ground, l *land, _ *caller) call {
		return call{path: "/v1/organisations/" + jsonText(l.branch.ID) + "/late-record-figures?month=2026-03"}
	}, [roles]int{401, 403, 404, 404, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"annulCheckIn", false, func(g *ground, l *land, _ *caller) call {
		id := g.activity(l, model.Published)
		return call{path: g.path(id, "/annulments"), body: body{"attendance_id": g.attendance(l, id), "reason": "误签" + l.canary}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"correctAttendance", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Published), "/corrections"),
			body: body{"member_id": l.victim, "status": "absent", "reason": "核实" + l.canary, "nonce": nonce()}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"attendanceLog", false, func(g *ground, l *land, _ *caller) call {
		id := g.activity(l, model.Published)
		g.attendance(l, id)
		return call{path: g.path(id, "/members/"+jsonText(l.victim)+"/attendance-log")}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"attendanceLog/own", true, func(g *ground, l *land, c *caller) call {
		id, who := g.activity(l, model.Published), l.victim
		if c.person != nil {
			who = c.person.ID
			g.insert(&model.Attendance{ActivityID: id, MemberID: who, BranchID: l.branch.ID, Status: model.Present, Provenance: model.ByScan,
				At: g.Clock.Now(), Location: model.LocationNotGiven, Guest: true, Once: model.Once{Nonce: nonce()}})
		}
		return call{path: g.path(id, "/members/"+jsonText(who)+"/attendance-log")}
	}, [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"exemptMember", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Published), "/exemptions"),
			body: body{"member_id": l.victim, "exemption": "bedridden", "reason": "同意" + l.canary}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"uploadOfflineCheckIns/code", false, func(g *ground, l *land, _ *caller) call {
		c := g.code(l)
		return call{path: g.path(c.ActivityID, "/offline-check-ins"), body: body{"items": []body{{"nonce": nonce(), "scanned_at": g.Clock.Now(), "code": c.Code}}}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"uploadOfflineCheckIns/tick", false, func(g *ground, l *land, _ *caller) call {
		items := []body{{"nonce": nonce(), "scanned_at": g.Clock.Now(), "member_id": l.victim}, {"nonce": nonce(), "scanned_at": g.Clock.Now(), "member_id": g.x.victim}}
		return call{path: g.path(g.activity(l, model.Published), "/offline-check-ins"), body: body{"items": items}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 404, 404, 404}, nil}, // item by item: who does not conduct is told so of each
	{"listOfflineItems", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.offline(l), "/offline-items?scope=all")}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"roster", false, activity(model.Published, "/roster"), [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"board", false, activity(model.Published, "/board"), [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"boardStream", false, activity(model.Published, "/board/stream"), [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"showScreen", false, activity(model.Published, "/screens"), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"closeActivity", false, activity(model.Published, "/closing"), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"attendanceSheet", false, activity(model.Closed, "/sheet"), [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"attendanceSheetWorkbook", false, activity(model.Closed, "/sheet.xlsx"), [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"attendanceSheetPage", false, activity(model.Closed, "/sheet.html"), [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},

	{"recordMinutes", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Published), "/minutes"), body: minutesOf(l)}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"showMinutes/unsigned", false, paper("/minutes", false), [roles]int{401, 403, 404, 404, 200, 200, 200, 200, 404, 404, 404}, nil}, // not signed yet
	{"showMinutes/signed", false, paper("/minutes", true), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"signMinutes", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.recorded(l, false).activity, "/minutes/signature"), body: body{"version": 1}}
	}, [roles]int{401, 403, 403, 403, 403, 200, 403, 403, 404, 404, 404}, nil}, // a signature is the secretary's own
	{"recordVote", false, func(g *ground, l *land, _ *caller) call {
		return call{path: g.path(g.activity(l, model.Published), "/votes"), body: body{"subject": "决议" + l.canary, "kind": "resolution", "nonce": nonce()}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"listVotes", false, paper("/votes", false), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"annulVote", false, func(g *ground, l *land, _ *caller) call {
		r := g.recorded(l, false)
		return call{path: g.path(r.activity, fmt.Sprint("/votes/", r.vote, "/annulment")), body: body{"reason": "票数填错" + l.canary}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"attachPhoto", false, func(g *ground, l *land, _ *caller) call {
		form, kind := formOf(g.t, pictureOf(g.t, 1))
		return call{path: g.path(g.activity(l, model.Published), "/photos?purpose=scene"), body: form, headers: []string{"Content-Type", kind}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"listPhotos", false, paper("/photos", false), [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"readPhoto", false, func(g *ground, l *land, _ *caller) call {
		r := g.recorded(l, false)
		return call{path: g.path(r.activity, fmt.Sprint("/photos/", r.photo))}
	}, [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"removePhoto", false, func(g *ground, l *land, _ *caller) call {
		r := g.recorded(l, false)
		return call{path: g.path(r.activity, fmt.Sprint("/photos/", r.photo, "/removal")), body: body{"reason": "传错了" + l.canary}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"recordPaperSheet", false, func(g *ground, l *land, _ *caller) call {
		r := g.recorded(l, false)
		return call{path: g.path(r.activity, "/paper-sheets"), body: body{"photo_id": r.photo, "member_ids": []uint64{l.victim}, "nonce": nonce()}}
	}, [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"minutesPage", false, paper("/minutes.html", true), [roles]int{401, 403, 403, 403, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"meetingPack", false, paper("/pack.zip?paper_sheet=true", true), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"attendanceRecord", false, person("/attendance-record"), [roles]int{401, 403, 404, 404, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"attendanceRecordWorkbook", false, person("/attendance-record.xlsx"), [roles]int{401, 403, 404, 404, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"attendanceRecordPage", false, person("/attendance-record.html"), [roles]int{401, 403, 404, 404, 200, 200, 403, 200, 404, 404, 404}, nil},

	{"subscriptionRequests", true, to("/v1/subscription-requests?purpose=activity"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"reportConsents", false, func(g *ground, l *land, _ *caller) call {
		return call{path: "/v1/consents", body: body{"nonce": nonce(), "activity_id": g.activity(l, model.Published),
			"results": []body{{"template_id": reminderTemplate, "result": "reject"}}}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"reachForecast", false, activity(model.Published, "/reach"), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"reminderReport", false, activity(model.Published, "/reminders"), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"callList", false, activity(model.Published, "/calls"), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"callListPage", false, activity(model.Published, "/calls.html"), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 404, 404, 404}, nil},

	{"listOrganisations/own", true, to("/v1/organisations"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"listOrganisations/below", false, func(_ *ground, l *land, _ *caller) call {
		return call{path: "/v1/organisations?parent_id=" + jsonText(l.branch.ID)}
	}, [roles]int{401, 403, 404, 404, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"addOrganisation", false, func(g *ground, l *land, _ *caller) call {
		return call{path: "/v1/organisations", body: body{"parent_id": l.branch.ID, "kind": "party_group", "unit_kind": "organ", "name": g.unique(l.canary)}}
	}, [roles]int{401, 403, 404, 404, 403, 200, 403, 200, 404, 404, 404}, nil},
	{"updateOrganisation", false, func(_ *ground, l *land, _ *caller) call {
		return call{path: l.organisation(""), body: body{"parent_id": l.above, "kind": "branch", "unit_kind": "organ", "name": l.branch.Name}}
	}, [roles]int{401, 403, 404, 404, 403, 403, 403, 200, 404, 404, 404}, nil},
	{"importOrganisations", true, sheet("/v1/organisations/imports?dry_run=true", "名称,类别,上级组织\n试设支部,党支部,机关工委\n"),
		[roles]int{401, 403, 403, 403, 403, 403, 403, 200, 403, 403, 403}, nil},
	{"importRoster", false, func(g *ground, l *land, c *caller) call {
		return sheet(l.organisation("/roster-imports?dry_run=true"), "姓名,党员类别,手机号\n新来的,正式党员,19912340000\n")(g, l, c)
	}, [roles]int{401, 403, 404, 404, 403, 200, 403, 200, 404, 404, 404}, nil},
	{"listMembers", false, func(_ *ground, l *land, _ *caller) call { return call{path: l.organisation("/members")} },
		[roles]int{401, 403, 404, 404, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"revealPhone", false, person("/phone"), [roles]int{401, 403, 404, 404, 403, 200, 403, 200, 404, 404, 404}, nil},
	{"inviteMember", false, person("/invitation"), [roles]int{401, 403, 404, 404, 404, 200, 404, 200, 404, 404, 404}, nil},
	{"unbindMember", false, person("/binding"), [roles]int{401, 403, 404, 404, 404, 200, 404, 200, 404, 404, 404}, nil},
	{"transferMember", false, func(_ *ground, l *land, _ *caller) call {
		return call{path: "/v1/members/" + jsonText(l.victim) + "/transfer", body: body{"branch_id": l.branch.ID}}
	}, [roles]int{401, 403, 404, 404, 403, 200, 403, 200, 404, 404, 404}, nil},
	{"endMembership", false, func(g *ground, l *land, _ *caller) call {
		return call{path: "/v1/members/" + jsonText(g.leaver(l)) + "/membership"}
	}, [roles]int{401, 403, 404, 404, 403, 200, 403, 200, 404, 404, 404}, nil},
	{"grantPost", false, func(_ *ground, l *land, _ *caller) call {
		return call{path: "/v1/posts", body: body{"member_id": l.victim, "organisation_id": l.branch.ID, "kind": "committee_member"}}
	}, [roles]int{401, 403, 404, 404, 403, 200, 403, 200, 404, 404, 404}, nil},
	{"endPost", false, func(g *ground, l *land, _ *caller) call { return call{path: "/v1/posts/" + jsonText(g.post(l))} },
		[roles]int{401, 403, 404, 404, 403, 200, 403, 200, 404, 404, 404}, nil},

	{"exportMyData", true, to("/v1/me/data"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"updateMember", false, func(g *ground, l *land, _ *caller) call {
		return call{path: "/v1/members/" + jsonText(l.victim), body: body{"name": "某人" + l.canary, "status": "full_member"}}
	}, [roles]int{401, 403, 404, 404, 403, 200, 403, 200, 404, 404, 404}, nil},
	{"eraseMember", false, func(g *ground, l *land, _ *caller) call {
		return call{path: "/v1/members/" + jsonText(g.leaver(l)) + "/erasure", body: body{"reason": "own_request"}}
	}, [roles]int{401, 403, 404, 404, 403, 403, 403, 200, 404, 404, 404}, nil},
	{"listComplaints/own", true, to("/v1/complaints"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"listComplaints/received", true, func(g *ground, _ *land, _ *caller) call {
		for _, l := range []*land{g.a, g.b, g.x} {
			g.complaint(l)
		}
		return call{path: "/v1/complaints?scope=received"}
	}, [roles]int{401, 403, 403, 403, 403, 403, 200, 200, 403, 403, 403}, nil},
	{"complain", true, func(*ground, *land, *caller) call {
		return call{path: "/v1/complaints", body: body{"kind": "formalism", "text": "要填的太多", "nonce": "0123456789"}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"burden", true, to("/v1/burden?month=2026-03"), [roles]int{401, 403, 403, 403, 403, 403, 200, 200, 403, 403, 403}, nil},
	{"burdenPage", true, to("/v1/burden.html"), [roles]int{401, 403, 403, 403, 403, 403, 200, 200, 403, 403, 403}, nil},
	{"linkPaper", true, with("/v1/paper-links", body{"path": "/v1/burden.html"}), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"answerComplaint", false, func(g *ground, l *land, _ *caller) call {
		return call{path: fmt.Sprint("/v1/complaints/", g.complaint(l), "/answer"), body: body{"answer": "已经改正"}}
	}, [roles]int{401, 403, 404, 404, 404, 404, 200, 200, 404, 404, 404}, nil},

	// What communities need is for every member to see.
	{"listCommunities", true, to("/v1/communities"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"listCommunityRegistrations/own", true, to("/v1/community-registrations"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"listCommunityRegistrations/community", false, func(_ *ground, l *land, _ *caller) call {
		return call{path: "/v1/community-registrations?community_id=" + jsonText(l.community)}
	}, [roles]int{401, 403, 404, 404, 404, 404, 200, 200, 200, 404, 404}, nil},
	{"registerWithCommunity", false, func(_ *ground, l *land, _ *caller) call {
		return call{path: "/v1/community-registrations", body: body{"community_id": l.community}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 400, 200, 400}, nil},
	{"confirmCommunityRegistration", false, func(g *ground, l *land, _ *caller) call {
		return call{path: fmt.Sprint("/v1/community-registrations/", g.registration(l, false), "/confirmation"), body: body{"accept": true}}
	}, [roles]int{401, 403, 404, 404, 404, 404, 404, 200, 200, 404, 404}, nil},
	{"withdrawCommunityRegistration", false, func(g *ground, l *land, _ *caller) call {
		return call{path: fmt.Sprint("/v1/community-registrations/", g.registration(l, true))}
	}, [roles]int{401, 403, 404, 404, 404, 200, 404, 200, 404, 404, 404}, nil},
	{"listServiceDays", false, func(_ *ground, l *land, _ *caller) call {
		return call{path: "/v1/service-days?community_id=" + jsonText(l.community)}
	}, [roles]int{401, 403, 404, 404, 404, 404, 200, 200, 200, 404, 404}, nil},
	{"draftServiceDay", false, func(g *ground, l *land, _ *caller) call {
		return call{path: "/v1/service-days", body: g.need().with("community_id", l.community, "nonce", nonce())}
	}, [roles]int{401, 403, 404, 404, 404, 404, 403, 200, 200, 404, 404}, nil},
	{"showServiceDay", false, day(model.Published, "", nil), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 404}, nil},
	{"showServiceDay/draft", false, day(model.Draft, "", nil), [roles]int{401, 403, 404, 404, 404, 404, 404, 200, 200, 404, 404}, nil},
	{"editServiceDay", false, func(g *ground, l *land, _ *caller) call {
		id, _ := g.serviceDay(l, model.Draft, 0)
		return call{path: dayPath(id, ""), body: g.need().with("version", 1)}
	}, [roles]int{401, 403, 404, 404, 404, 404, 404, 200, 200, 404, 404}, nil},
	{"rewordServiceDay", false, day(model.Published, "/words", body{"version": 1, "title": "改过的服务日", "place": "活动室"}),
		[roles]int{401, 403, 403, 403, 403, 403, 403, 200, 200, 403, 404}, nil},
	{"publishServiceNeed", false, day(model.Draft, "/publication", nil), [roles]int{401, 403, 404, 404, 404, 404, 404, 200, 200, 404, 404}, nil},
	{"cancelServiceDay", false, day(model.Published, "/cancellation", body{"reason": "下雨"}), [roles]int{401, 403, 403, 403, 403, 403, 403, 200, 200, 403, 404}, nil},
	{"listServiceSlots", true, to("/v1/service-slots"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"setSlotCapacity", false, slot("/capacity", func(*land) body { return body{"capacity": 5} }),
		[roles]int{401, 403, 403, 403, 403, 403, 403, 200, 200, 403, 404}, nil},
	{"listSlotSignUps", false, slot("/sign-ups", nil), [roles]int{401, 403, 403, 403, 200, 200, 403, 200, 200, 403, 404},
		map[role]int{committee: 200, secretary: 200}}, // who conducts sees those of the own branch, wherever they serve
	{"signUpForSlot", false, slot("/sign-ups", func(*land) body { return body{"nonce": nonce()} }), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 404}, nil},
	{"joinWaitingList", false, slot("/waiting-list", func(*land) body { return body{"nonce": nonce()} }), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 404}, nil},
	{"signUpMembers", false, slot("/member-sign-ups", func(l *land) body { return body{"member_ids": []uint64{l.victim}, "nonce": nonce()} }),
		[roles]int{401, 403, 400, 400, 200, 200, 400, 200, 400, 400, 404}, nil},
	{"listOwnSignUps", true, to("/v1/me/sign-ups"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"cancelSignUp", false, signUp(model.Seated, "/cancellation", body{"reason": "另有安排"}), [roles]int{401, 403, 404, 404, 200, 200, 404, 200, 200, 404, 404}, nil},
	{"leaveWaitingList", false, signUp(model.Waiting, "/withdrawal", nil), [roles]int{401, 403, 404, 404, 404, 404, 404, 404, 404, 404, 404}, nil},
	{"answerOffer", false, signUp(model.Offered, "/answer", body{"accept": true}), [roles]int{401, 403, 404, 404, 404, 404, 404, 404, 404, 404, 404}, nil},

	{"repeatServiceDay", false, day(model.Published, "/calendar", body{"rule": "FREQ=MONTHLY;BYMONTHDAY=15"}),
		[roles]int{401, 403, 403, 403, 403, 403, 403, 200, 200, 403, 404}, nil},
	{"showServiceCalendar", false, served("/calendar", nil), [roles]int{401, 403, 403, 403, 403, 403, 403, 200, 200, 403, 404}, nil},
	{"serviceDayCode", false, served("/check-in-code", nil), [roles]int{401, 403, 403, 403, 403, 403, 403, 200, 200, 403, 404}, nil},
	{"newServiceDayCode", false, served("/check-in-code", nil), [roles]int{401, 403, 403, 403, 403, 403, 403, 200, 200, 403, 404}, nil},
	{"tickServicePresence", false, func(g *ground, l *land, _ *caller) call {
		s := g.service(l)
		return call{path: dayPath(s.day, "/presences"), body: body{"sign_up_ids": []uint64{s.signUp}, "act": "arrive"}}
	}, [roles]int{401, 403, 403, 403, 403, 403, 403, 200, 200, 403, 404}, nil},
	{"confirmServiceHours", false, served("/hours", body{}), [roles]int{401, 403, 403, 403, 403, 403, 403, 200, 200, 403, 404}, nil},
	{"checkInToService", false, serviceCode("/v1/service-check-ins"), [roles]int{401, 403, 409, 409, 409, 409, 409, 409, 409, 409, 409}, nil}, // none of them has the seat
	{"checkOutOfService", false, serviceCode("/v1/service-check-outs"), [roles]int{401, 403, 409, 409, 409, 409, 409, 409, 409, 409, 409}, nil},
	{"explainAbsence", false, ofService("/absence", body{"reason": "生病"}), [roles]int{401, 403, 404, 404, 200, 200, 404, 200, 200, 404, 404}, nil},
	{"objectToHours", false, ofService("/objection", body{"reason": "我到了"}), [roles]int{401, 403, 404, 404, 404, 404, 404, 404, 404, 404, 404}, nil},
	{"listHourObjections/own", true, to("/v1/hour-objections"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"listHourObjections/community", false, func(g *ground, l *land, _ *caller) call {
		g.objection(l)
		return call{path: "/v1/hour-objections?community_id=" + jsonText(l.community)}
	}, [roles]int{401, 403, 404, 404, 404, 404, 403, 200, 200, 404, 404}, nil},
	{"answerObjection", false, func(g *ground, l *land, _ *caller) call {
		return call{path: fmt.Sprint("/v1/hour-objections/", g.objection(l), "/answer"), body: body{"answer": "属实", "minutes": 30}}
	}, [roles]int{401, 403, 404, 404, 404, 404, 404, 200, 200, 404, 404}, nil},
	{"listServiceAbsences", false, func(g *ground, l *land, _ *caller) call {
		g.service(l)
		return call{path: l.organisation("/service-absences")}
	}, [roles]int{401, 403, 404, 404, 200, 200, 403, 200, 404, 404, 404}, nil},
	{"importServiceHours", false, func(g *ground, l *land, c *caller) call {
		return sheet(l.organisation("/service-hours-imports?dry_run=true"), "姓名,手机号,日期,分钟,服务内容\n")(g, l, c)
	}, [roles]int{401, 403, 404, 404, 403, 200, 403, 200, 404, 404, 404}, nil},
	{"ownServiceRecord", true, to("/v1/me/service-record"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"serviceRecord", false, person("/service-record"), [roles]int{401, 403, 404, 404, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"serviceRecordWorkbook", false, person("/service-record.xlsx"), [roles]int{401, 403, 404, 404, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"serviceRecordPage", false, person("/service-record.html"), [roles]int{401, 403, 404, 404, 200, 200, 200, 200, 404, 404, 404}, nil},
	{"listFeedbackSlips", false, func(_ *ground, l *land, _ *caller) call {
		return call{path: fmt.Sprint("/v1/communities/", l.community, "/feedback-slips/2026Q1")}
	}, [roles]int{401, 403, 404, 404, 404, 404, 200, 200, 200, 404, 404}, nil},
	{"feedbackSlip", false, slip("", nil), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 404, 404}, nil},
	{"feedbackSlipWorkbook", false, slip("/slip.xlsx", nil), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 404, 404}, nil},
	{"feedbackSlipPage", false, slip("/slip.html", nil), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 404, 404}, nil},
	{"confirmFeedbackSlip", false, slip("/confirmation", body{"comment": "很好"}), [roles]int{401, 403, 404, 404, 404, 404, 403, 200, 200, 404, 404}, nil},

	// A household is for the member who cares for it and their secretary alone.
	{"listHouseholdPairings/own", true, to("/v1/household-pairings"), [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"listHouseholdPairings/branch", false, func(g *ground, l *land, _ *caller) call {
		g.pairing(l)
		return call{path: "/v1/household-pairings?branch_id=" + jsonText(l.branch.ID)}
	}, [roles]int{401, 403, 404, 404, 404, 200, 404, 404, 404, 404, 404}, nil},
	{"pairHousehold", true, func(*ground, *land, *caller) call {
		return call{path: "/v1/household-pairings", body: body{"household": body{"name": "化名"}, "nonce": nonce()}}
	}, [roles]int{401, 403, 200, 200, 200, 200, 200, 200, 200, 200, 200}, nil},
	{"showHouseholdPairing", false, pairing("", nil), [roles]int{401, 403, 404, 404, 404, 200, 404, 404, 404, 404, 404}, nil},
	{"recordHouseholdVisit", false, pairing("/visits", body{"day": "2026-03-10", "minutes": 30, "nonce": "0123456789"}),
		[roles]int{401, 403, 404, 404, 404, 404, 404, 404, 404, 404, 404}, nil},
	{"endHouseholdPairing", false, pairing("", nil), [roles]int{401, 403, 404, 404, 404, 200, 404, 404, 404, 404, 404}, nil},
	{"confirmHouseholdVisit", false, func(g *ground, l *land, _ *caller) call {
		return call{path: fmt.Sprint("/v1/household-visits/", g.visit(l), "/confirmation")}
	}, [roles]int{401, 403, 404, 404, 404, 200, 404, 404, 404, 404, 404}, nil},
}

func to(path string) func(*ground, *land, *caller) call {
	return func(*ground, *land, *caller) call { return call{path: path} }
}

func with(path string, b body) func(*ground, *land, *caller) call {
	return func(*ground, *land, *caller) call { return call{path: path, body: b} }
}

// sheet uploads a table of text.
func sheet(path, text string) func(*ground, *land, *caller) call {
	return func(g *ground, _ *land, _ *caller) call {
		var b bytes.Buffer
		form := multipart.NewWriter(&b)
		part, err := form.CreateFormFile("file", "表格.csv")
		if err == nil {
			_, err = io.WriteString(part, text)
		}
		if err == nil {
			err = form.Close()
		}
		if err != nil {
			g.t.Fatal(err)
		}
		return call{path: path, body: b.Bytes(), headers: []string{"Content-Type", form.FormDataContentType()}}
	}
}

func activity(status model.ActivityStatus, rest string) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call { return call{path: g.path(g.activity(l, status), rest)} }
}

func person(rest string) func(*ground, *land, *caller) call {
	return func(_ *ground, l *land, _ *caller) call {
		return call{path: "/v1/members/" + jsonText(l.victim) + rest}
	}
}

func day(status model.ActivityStatus, rest string, b body) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		id, _ := g.serviceDay(l, status, 0)
		c := call{path: dayPath(id, rest)}
		if b != nil {
			c.body = b
		}
		return c
	}
}

func slot(rest string, b func(*land) body) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		_, id := g.serviceDay(l, model.Published, 0)
		c := call{path: slotPath(id, rest)}
		if b != nil {
			c.body = b(l)
		}
		return c
	}
}

func signUp(state model.SignUpState, rest string, b body) func(*ground, *land, *caller) call {
	return func(g *ground, l *land, _ *caller) call {
		c := call{path: signUpPath(g.signUp(l, state), rest)}
		if b != nil {
			c.body = b
		}
		return c
	}
}

// land is a branch and what belongs to it. Every text of it holds its canary.
type land struct {
	canary         string
	above          uint64 // the branch's superior
	branch, group  model.Organisation
	people         []*trial.Person // all of the branch, as on every roster
	secretary      *trial.Person
	victim, holder uint64 // members to whom things are done
	community      uint64
	unknown        bool // nothing of it exists
}

func (l *land) organisation(rest string) string {
	return "/v1/organisations/" + jsonText(l.branch.ID) + rest
}

// caller is somebody who sends requests: a role in a land, or above two.
type caller struct {
	*phone
	g      *ground
	role   role
	lands  []*land // those that are theirs
	person *trial.Person
	sent   int
}

// ground is two sibling branches in one tree and a third in another, with
// everybody who may want something of them.
type ground struct {
	*meeting
	a, b, x, nowhere          *land
	callers                   []*caller
	supervisor, administrator *caller
	made                      int
}

func (s *stage) aGround() *ground {
	s.t.Helper()
	g := &ground{meeting: &meeting{stage: s}}
	district, agencies := s.District(), s.Agencies()
	other := s.Organisation(nil, model.WorkCommittee, "外区党工委")
	g.a, g.b, g.x = g.land(agencies, "QZKXWVA"), g.land(agencies, "QZKXWVB"), g.land(other, "QZKXWVX")
	const far = 1 << 40
	g.nowhere = &land{canary: "QZKXWVN", above: far, branch: model.Organisation{ID: far, Name: "不存在的支部"}, group: model.Organisation{ID: far},
		victim: far, holder: far, community: far, unknown: true}

	office := s.Branch("区直机关党支部")
	above := func(in model.Organisation, name string, kind model.PostKind) *trial.Person {
		p := s.Member(office, name)
		s.Post(p, in, kind)
		return p
	}
	g.callers = []*caller{
		{g: g, role: nobody, phone: s.nobody()},
		{g: g, role: nobody, phone: &phone{s, rand.Text()}}, // a token of nobody's
		{g: g, role: unbound, phone: s.signIn(s.Stranger())},
	}
	g.supervisor = &caller{g: g, role: supervisor, lands: []*land{g.a, g.b}, person: above(agencies, "上级督导员", model.Supervisor)}
	g.administrator = &caller{g: g, role: administrator, lands: []*land{g.a, g.b}, person: above(district, "系统管理员", model.Administrator)}
	g.callers = append(g.callers, g.supervisor, g.administrator)
	for _, l := range []*land{g.a, g.b, g.x} {
		for i, r := range []role{member, leader, committee, secretary} {
			if l == g.a || r == secretary || r == member && l == g.b {
				g.callers = append(g.callers, &caller{g: g, role: r, lands: []*land{l}, person: l.people[i]})
			}
		}
	}
	runs := s.Member(model.Organisation{ID: g.a.community}, "社区联络员")
	s.Post(runs, model.Organisation{ID: g.a.community}, model.CommunityLiaison)
	g.callers = append(g.callers, &caller{g: g, role: liaison, lands: []*land{g.a}, person: runs})
	for _, c := range g.callers {
		if c.person != nil {
			c.phone = &phone{s, s.SignIn(c.person)}
		}
	}
	return g
}

func (g *ground) land(under model.Organisation, canary string) *land {
	g.t.Helper()
	l := &land{canary: canary, above: under.ID, branch: g.Organisation(&under, model.Branch, "支部"+canary)}
	l.group = g.Group(l.branch, "小组"+canary)
	l.people = []*trial.Person{g.Member(l.branch, "党员"+canary, trial.InGroup(l.group)), g.Member(l.branch, "组长"+canary, trial.InGroup(l.group)),
		g.Member(l.branch, "委员"+canary), g.Member(l.branch, "书记"+canary), g.Member(l.branch, "某人"+canary, trial.InGroup(l.group)), g.Member(l.branch, "某某"+canary)}
	l.secretary, l.victim, l.holder = l.people[3], l.people[4].ID, l.people[5].ID
	g.Post(l.people[1], l.group, model.GroupLeader)
	g.Post(l.people[2], l.branch, model.CommitteeMember)
	g.Post(l.secretary, l.branch, model.Secretary)
	l.community = g.Organisation(&under, model.Community, fmt.Sprint("社区", g.unique(""))).ID
	return l
}

// unique is a word that was not there before.
func (g *ground) unique(word string) string {
	g.made++
	return fmt.Sprint("新", g.made, word)
}

func (g *ground) insert(row any) {
	g.t.Helper()
	if err := g.DB.Create(row).Error; err != nil {
		g.t.Fatalf("make %T: %v", row, err)
	}
}

// together inserts rows in one transaction: a commit is what costs.
func (g *ground) together(insert func(tx *gorm.DB) error) {
	g.t.Helper()
	if err := g.DB.Transaction(insert); err != nil {
		g.t.Fatal(err)
	}
}

// activity is a fresh one that has just begun, as far as it is published; its
// roster is everybody of the branch. On nowhere it is a number.
func (g *ground) activity(l *land, status model.ActivityStatus) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	now := g.Clock.Now()
	a := &model.Activity{OrganisationID: l.branch.ID, Kind: model.ThemePartyDay, Title: "活动" + l.canary, Content: "内容" + l.canary,
		Place: model.Place{Name: "地点" + l.canary}, StartsAt: now, EndsAt: now.Add(time.Hour), OpensAt: now, LateAt: now, ClosesAt: now.Add(time.Hour),
		Audience: model.WholeBranch, Status: status, CodeEpoch: 1, Version: 1, CreatedBy: l.secretary.ID, CreatedAt: now, Once: model.Once{Nonce: nonce()}}
	if status != model.Draft {
		a.PublishedAt = &now
	}
	if status == model.Cancelled {
		a.CancelReason = "原因" + l.canary
	}
	g.together(func(tx *gorm.DB) error {
		if err := tx.Create(a).Error; err != nil || status == model.Draft {
			return err
		}
		var roster []model.RosterEntry
		for _, p := range l.people {
			roster = append(roster, model.RosterEntry{ActivityID: a.ID, MemberID: p.ID, BranchID: l.branch.ID, Votes: true, ClosesAt: a.ClosesAt})
		}
		return tx.Create(&roster).Error
	})
	return a.ID
}

// leaving makes an activity one that asks for checking out.
func (g *ground) leaving(id uint64, l *land) uint64 {
	g.t.Helper()
	if l.unknown {
		return id
	}
	if err := g.DB.Model(&model.Activity{}).Where("id = ?", id).Update("check_out", true).Error; err != nil {
		g.t.Fatal(err)
	}
	return id
}

// attendance is a check-in of the victim at an activity.
func (g *ground) attendance(l *land, id uint64) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	t := &model.Attendance{ActivityID: id, MemberID: l.victim, BranchID: l.branch.ID, Status: model.Present, Provenance: model.ByScan,
		At: g.Clock.Now(), Location: model.LocationNotGiven, Once: model.Once{Nonce: nonce()}}
	g.insert(t)
	return t.ID
}

// activityAt is activity, which begins so many minutes later.
func (g *ground) activityAt(l *land, status model.ActivityStatus, minutes int) uint64 {
	g.t.Helper()
	id := g.activity(l, status)
	if l.unknown {
		return id
	}
	start := g.Clock.Now().Add(time.Duration(minutes) * time.Minute)
	err := g.DB.Model(&model.Activity{}).Where("id = ?", id).Updates(map[string]any{"starts_at": start, "ends_at": start.Add(time.Hour), "late_at": start, "closes_at": start.Add(time.Hour)}).Error
	if err != nil {
		g.t.Fatal(err)
	}
	return id
}

// joint is a fresh activity of the land, or of a branch beside it where host is
// zero, to which a branch beside it, or the partner, is invited.
func (g *ground) joint(l *land, host, partner uint64) (id, branch uint64) {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID, l.branch.ID
	}
	id = g.activityAt(l, model.Published, 60)
	beside := g.Organisation(&model.Organisation{ID: l.above}, model.Branch, g.unique("支部"))
	if host == 0 {
		plain := map[string]any{"organisation_id": beside.ID, "title": "别的活动", "content": "", "place": ""}
		err := errors.Join(g.DB.Model(&model.Activity{}).Where("id = ?", id).Updates(plain).Error,
			g.DB.Delete(&model.RosterEntry{}, "activity_id = ?", id).Error)
		if err != nil {
			g.t.Fatal(err)
		}
	} else {
		partner = beside.ID
	}
	g.insert(&model.JointBranch{ActivityID: id, BranchID: partner, State: model.Invited, InvitedBy: l.secretary.ID, InvitedAt: g.Clock.Now()})
	return id, partner
}

// series is a fresh activity that begins a series.
func (g *ground) series(l *land) uint64 {
	g.t.Helper()
	id := g.activity(l, model.Published)
	if l.unknown {
		return id
	}
	plan := `{"kind":"theme_party_day","title":"计划","place":{"name":"` + l.canary + `"},"starts_at":"2026-03-10T14:00:00+08:00","ends_at":"2026-03-10T15:00:00+08:00"}`
	day := model.DayOf(g.Clock.Now(), trial.Zone)
	c := &model.ActivitySeries{OrganisationID: l.branch.ID, Rule: "FREQ=YEARLY", Shift: model.ShiftLater, Span: model.Span{From: day, Until: model.Forever},
		Plan: plan, CreatedBy: l.secretary.ID, CreatedAt: g.Clock.Now()}
	g.insert(c)
	if err := g.DB.Model(&model.Activity{}).Where("id = ?", id).Updates(map[string]any{"series_id": c.ID, "series_day": day}).Error; err != nil {
		g.t.Fatal(err)
	}
	return id
}

// shown is what the screen of an activity shows.
type shown struct {
	service.ScreenCode
	ActivityID uint64
}

func (g *ground) code(l *land) shown {
	g.t.Helper()
	if l.unknown {
		return shown{service.ScreenCode{Code: "1.1.1.AAAAAAAAAAAA", Digits: "123456"}, l.branch.ID}
	}
	id := g.activity(l, model.Published)
	c, err := g.Meetings.Code(g.t.Context(), g.Actor(l.secretary), id)
	if err != nil {
		g.t.Fatal(err)
	}
	return shown{*c, id}
}

// post is a fresh one that somebody holds from today on.
func (g *ground) post(l *land) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	g.made++
	today := g.Clock.Now().In(trial.Zone)
	p := &model.Post{MemberID: l.holder, OrganisationID: l.branch.ID, Kind: model.CommitteeMember,
		Span: model.Span{From: model.DayOf(today, trial.Zone), Until: model.DayOf(today.AddDate(0, 0, g.made), trial.Zone)}}
	g.insert(p)
	return p.ID
}

// offline is a fresh activity of which somebody sent what their phone had noted.
func (g *ground) offline(l *land) uint64 {
	g.t.Helper()
	id := g.activity(l, model.Published)
	if l.unknown {
		return id
	}
	now := g.Clock.Now()
	g.insert(&model.OfflineItem{ActivityID: id, UploadedBy: l.holder, MemberID: &l.victim, BranchID: l.branch.ID, Kind: model.OfflineScan, ClientAt: now,
		ReceivedAt: now, Refusal: model.ErrCheckInClosed.Code, Once: model.Once{Nonce: nonce()}})
	return id
}

// leaver is somebody fresh, who belongs to the branch.
func (g *ground) leaver(l *land) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	return g.Member(l.branch, "来去"+l.canary).ID
}

// complaint is a fresh one from the branch.
func (g *ground) complaint(l *land) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	c := &model.Complaint{MemberID: l.victim, BranchID: l.branch.ID, Kind: model.AboutFormalism, Text: "意见" + l.canary, CreatedAt: g.Clock.Now(), Once: model.Once{Nonce: nonce()}}
	g.insert(c)
	return c.ID
}

// registration is a fresh one of the branch, or of a member, with the community.
func (g *ground) registration(l *land, ofBranch bool) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	r := &model.CommunityRegistration{CommunityID: l.community, CreatedBy: l.secretary.ID, CreatedAt: g.Clock.Now(),
		Span: model.Span{From: "2026-01-01", Until: model.Forever}}
	who, id := "member_id = ?", l.victim
	if r.MemberID = &l.victim; ofBranch {
		r.MemberID, r.BranchID, who, id = nil, &l.branch.ID, "branch_id = ?", l.branch.ID
	}
	if err := g.DB.Delete(&model.CommunityRegistration{}, who, id).Error; err != nil {
		g.t.Fatal(err)
	}
	g.insert(r)
	return r.ID
}

func (g *ground) need() body {
	start := serviceStart.AddDate(1, 0, 0)
	return body{"title": "固定服务日", "place": "活动室", "slots": []body{{"name": "清扫", "starts_at": start, "ends_at": start.Add(time.Hour), "capacity": 3}}}
}

// serviceDay is a fresh one with one slot, at a time of its own.
func (g *ground) serviceDay(l *land, status model.ActivityStatus, taken int) (day, slot uint64) {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID, l.branch.ID
	}
	g.made++
	now, start := g.Clock.Now(), serviceStart.Add(time.Duration(g.made)*2*time.Hour).UTC()
	d := &model.ServiceDay{CommunityID: l.community, Title: "固定服务日", Place: "活动室", StartsAt: start, EndsAt: start.Add(time.Hour),
		SignUpUntil: start, CancelUntil: start, Status: status, CodeEpoch: 1, Version: 1, CreatedBy: l.secretary.ID, CreatedAt: now, Once: model.Once{Nonce: nonce()}}
	if status == model.Published {
		d.PublishedAt = &now
	}
	row := &model.ServiceSlot{CommunityID: l.community, Name: "清扫", Skill: model.AnySkill, StartsAt: start, EndsAt: start.Add(time.Hour),
		Open: status == model.Published, Capacity: 3, Taken: taken}
	g.together(func(tx *gorm.DB) error {
		err := tx.Create(d).Error
		row.ServiceDayID = d.ID
		return errors.Join(err, tx.Create(row).Error)
	})
	return d.ID, row.ID
}

// signUp is a fresh one of somebody of the branch at the community's service.
func (g *ground) signUp(l *land, state model.SignUpState) uint64 {
	g.t.Helper()
	if l.unknown {
		return l.branch.ID
	}
	_, slot := g.serviceDay(l, model.Published, 1)
	live, ends := true, g.Clock.Now().Add(time.Hour)
	u := &model.SlotSignUp{SlotID: slot, MemberID: l.victim, BranchID: l.branch.ID, Live: &live, State: state, At: g.Clock.Now(),
		OfferEndsAt: &ends, SignedUpBy: l.victim, Once: model.Once{Nonce: nonce()}}
	g.insert(u)
	return u.ID
}

// send sends a request as the caller, who signs in anew before the pace of one
// session is used up.
func (c *caller) send(method string, r call) *reply {
	c.g.t.Helper()
	if c.sent++; c.sent%150 == 0 {
		c.renew()
	}
	return c.do(method, r.path, r.body, r.headers...)
}

func (c *caller) renew() {
	c.g.t.Helper()
	switch {
	case c.person != nil:
		c.phone = &phone{c.g.stage, c.g.SignIn(c.person)}
	case c.role == unbound:
		c.phone = c.g.signIn(c.g.Stranger())
	case c.token != "":
		c.phone = &phone{c.g.stage, rand.Text()}
	}
}

func (c *caller) String() string {
	at := ""
	if c.person != nil {
		at = " " + c.person.Name
	}
	return roleNames[c.role] + at
}

// stands is what the caller is towards a land.
func (c *caller) stands(l *land) role {
	switch {
	case c.role == nobody, c.role == unbound:
		return c.role
	case l.unknown:
		return unknown
	case slices.Contains(c.lands, l):
		return c.role
	}
	return foreign
}

// operations are what the API's own document describes, by id.
func operations(t *testing.T) map[string]operation {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	described := api.Describe(engine, nil, slog.New(slog.DiscardHandler))
	all, documented := map[string]operation{}, map[string]bool{}
	for path, item := range described.OpenAPI().Paths {
		for method, op := range map[string]any{"GET": item.Get, "PUT": item.Put, "POST": item.Post, "DELETE": item.Delete, "PATCH": item.Patch,
			"HEAD": item.Head, "OPTIONS": item.Options, "TRACE": item.Trace} {
			raw, err := json.Marshal(op)
			if err != nil {
				t.Fatal(err)
			}
			var known struct{ OperationID string }
			if string(raw) == "null" {
				continue
			}
			if err := json.Unmarshal(raw, &known); err != nil || known.OperationID == "" {
				t.Fatalf("%s %s has no operation id (%v)", method, path, err)
			}
			all[known.OperationID] = operation{method, path}
			documented[method+" "+path] = true
		}
	}
	for _, r := range engine.Routes() {
		parts := strings.Split(r.Path, "/")
		for i, p := range parts {
			if name, ok := strings.CutPrefix(p, ":"); ok {
				parts[i] = "{" + name + "}"
			}
		}
		path := strings.Join(parts, "/")
		if !documented[r.Method+" "+path] && !strings.HasPrefix(path, "/openapi") {
			t.Errorf("%s %s is served and not in the document", r.Method, path)
		}
	}
	return all
}

type operation struct{ method, path string }

func TestK1_EveryOperationAnswersEveryRoleAsTheTableSays(t *testing.T) {
	all := operations(t)
	listed := map[string]bool{}
	for _, row := range accessTable {
		id, _, _ := strings.Cut(row.id, "/")
		listed[id] = true
		if _, ok := all[id]; !ok {
			t.Errorf("the table lists %s, which the API does not have", id)
		}
	}
	for id := range all {
		if !listed[id] {
			t.Errorf("%s is not in the table: say there who may call it", id)
		}
	}
	if t.Failed() {
		return
	}
	eachStage(t, func(t *testing.T, s *stage) {
		g := s.aGround()
		checks := 0
		for _, row := range accessTable {
			id, _, _ := strings.Cut(row.id, "/")
			for _, c := range g.callers {
				answers := map[*land]*reply{}
				for _, l := range []*land{g.nowhere, g.a, g.b, g.x} {
					if row.anyLand && l != g.a {
						continue
					}
					checks++
					answers[l] = g.check(row, all[id], c, l)
					if row.outcomes[foreign] == 404 && c.stands(l) == foreign && string(answers[l].Body) != string(answers[g.nowhere].Body) {
						t.Errorf("%s by %s: what is foreign can be told from what is unknown: %s and %s", row.id, c, answers[l].Body, answers[g.nowhere].Body)
					}
				}
			}
		}
		t.Logf("%d requests of %d operations by %d callers", checks, len(all), len(g.callers))
		if checks < 5000 {
			t.Error("fewer than were promised")
		}
	})
}

// check sends one request and holds the answer against the table and against
// the canaries.
func (g *ground) check(row access, op operation, c *caller, l *land) *reply {
	g.t.Helper()
	stands := c.stands(l)
	if row.anyLand {
		stands = c.role
	}
	want := row.outcomes[stands]
	if stands == foreign {
		if differs, ok := row.abroad[c.role]; ok {
			want = differs
		}
	}
	r := c.send(op.method, row.call(g, l, c))
	if r.Status != want {
		g.t.Errorf("%s by %s, who is %s there: %d, want %d: %.300s", row.id, c, roleNames[stands], r.Status, want, r.Body)
	}
	if leaks := g.leaks(c, op.path, r); len(leaks) > 0 {
		g.t.Errorf("%s by %s, who is %s there, tells of %v: %.300q", row.id, c, roleNames[stands], leaks, r.Body)
	}
	if op.method == http.MethodDelete && strings.HasPrefix(op.path, "/v1/sessions") {
		c.renew()
	}
	return r
}

// numbered are the operations that may tell a whole phone number, to who keeps
// the roster.
var numbered = []string{"/phone", "/calls", "/calls.html"}

// leaks are the canaries in an answer that the caller has no right to, and the
// phone numbers.
func (g *ground) leaks(c *caller, path string, r *reply) []string {
	g.t.Helper()
	var found []string
	text := plain(g.t, r)
	for _, l := range []*land{g.a, g.b, g.x} {
		theirs := slices.Contains(c.lands, l)
		if !theirs && strings.Contains(text, l.canary) {
			found = append(found, l.canary)
		}
		keeps := theirs && (c.role == secretary || c.role == administrator) && slices.ContainsFunc(numbered, func(end string) bool { return strings.HasSuffix(path, end) })
		for _, p := range l.people {
			own := c.person != nil && c.person.ID == p.ID && strings.HasSuffix(path, "/me/data")
			if !keeps && !own && strings.Contains(text, p.Phone) {
				found = append(found, p.Phone)
			}
		}
	}
	return found
}

// plain is everything that an answer says, headers and the parts of a workbook included.
func plain(t *testing.T, r *reply) string {
	t.Helper()
	var b strings.Builder
	for name, values := range r.Header {
		b.WriteString(name + ": " + strings.Join(values, ", ") + "\n")
	}
	if !bytes.HasPrefix(r.Body, []byte("PK")) {
		b.Write(r.Body)
		return b.String()
	}
	book, err := zip.NewReader(bytes.NewReader(r.Body), int64(len(r.Body)))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range book.File {
		f, err := part.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(raw)
		_ = f.Close()
	}
	return b.String()
}

func TestK2_TheNextNumberAndAForeignOneAreAnsweredAlike(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		g := s.aGround()
		theirs := g.activity(g.b, model.Published)
		next := g.activity(g.x, model.Published) + 1
		for _, c := range g.callers {
			if !slices.Contains(c.lands, g.a) || len(c.lands) != 1 {
				continue
			}
			for _, rest := range []string{"", "/roster", "/board", "/sheet", "/sheet.xlsx", "/sheet.html", "/check-in-code", "/reach", "/reminders", "/calls", "/calls.html"} {
				foreign, unknown := c.get(g.path(theirs, rest)), c.get(g.path(next, rest))
				sameBytes(t, foreign, unknown)
				for _, r := range []*reply{foreign, unknown} {
					if r.Status != 404 {
						t.Errorf("%s by %s: %d", rest, c, r.Status)
					}
					for _, name := range []string{"X-Request-Id", "Server-Time", "Date"} {
						r.Header.Del(name)
					}
				}
				if !maps.EqualFunc(foreign.Header, unknown.Header, slices.Equal) {
					t.Errorf("%s by %s: headers %v and %v", rest, c, foreign.Header, unknown.Header)
				}
			}
			sameBytes(t, c.get("/v1/members/"+jsonText(g.b.victim)+"/phone"), c.get("/v1/members/999999/phone"))
			sameBytes(t, c.get(g.b.organisation("/members")), c.get("/v1/organisations/999999/members"))
			sameBytes(t, c.get("/v1/organisations?parent_id="+jsonText(g.b.branch.ID)), c.get("/v1/organisations?parent_id=999999"))
		}
		// What can be no number is not a route of its own either.
		for _, odd := range []string{"0", "-1", "9007199254740992", "18446744073709551616", "1e3", "01x", "%00", "1%2F2", "../1"} {
			for _, path := range []string{"/v1/activities/" + odd, "/v1/activities/" + odd + "/board", "/v1/members/" + odd + "/phone"} {
				if r := s.phone(g.a.secretary).get(path); r.Status != 400 && r.Status != 404 {
					t.Errorf("%s: %d %s", path, r.Status, r.Body)
				}
			}
		}
	})
}

func TestK3_AChildUnderTheWrongParentIsNotFoundThere(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		g := s.aGround()
		own, p := g.activity(g.a, model.Published), s.phone(g.a.secretary)
		// A member, group or branch of elsewhere, named in a request about one's own.
		for name, r := range map[string]*reply{
			"tick":      p.post(g.path(own, "/attendances"), body{"member_id": g.b.victim, "status": "present", "nonce": nonce()}),
			"leave":     p.post(g.path(own, "/attendances"), body{"member_id": g.b.victim, "status": "sick_leave", "nonce": nonce()}),
			"exemption": p.post(g.path(own, "/exemptions"), body{"member_id": g.b.victim, "exemption": "bedridden", "reason": "同意"}),
		} {
			if r.Status != 409 || r.code() != "not_on_roster" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		sameBytes(t, p.post(g.path(own, "/exemptions"), body{"member_id": g.b.victim, "exemption": "bedridden", "reason": "同意"}),
			p.post(g.path(own, "/exemptions"), body{"member_id": 999999, "exemption": "bedridden", "reason": "同意"}))
		for name, change := range map[string][]any{
			"a group": {"audience", "groups", "targets", []uint64{g.b.group.ID}}, "a member": {"audience", "members", "targets", []uint64{g.b.victim}},
			"no group": {"audience", "groups", "targets", []uint64{999999}}, "no member": {"audience", "members", "targets", []uint64{999999}},
		} {
			r := p.post("/v1/activities", g.draft(g.a.branch).with(change...))
			if r.Status != 400 || r.code() != "audience" {
				t.Errorf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		move := "/v1/members/" + jsonText(g.a.victim) + "/transfer"
		want(t, p.post(move, body{"branch_id": g.a.branch.ID, "group_id": g.b.group.ID}), 400, "transfer_place")
		sameBytes(t, p.post(move, body{"branch_id": g.a.branch.ID, "group_id": g.b.group.ID}), p.post(move, body{"branch_id": g.a.branch.ID, "group_id": 999999}))
		want(t, p.post(move, body{"branch_id": g.b.branch.ID}), 404, "not_found")
		want(t, p.post("/v1/posts", body{"member_id": g.b.victim, "organisation_id": g.a.branch.ID, "kind": "committee_member"}), 404, "not_found")
		want(t, p.post("/v1/posts", body{"member_id": g.a.victim, "organisation_id": g.b.branch.ID, "kind": "committee_member"}), 404, "not_found")
		want(t, p.post("/v1/posts", body{"member_id": g.a.victim, "organisation_id": g.b.group.ID, "kind": "group_leader"}), 404, "not_found")
		// The code of one activity, sent with the number of another.
		other := g.activity(g.a, model.Published)
		c, err := g.Meetings.Code(t.Context(), g.Actor(g.a.secretary), own)
		if err != nil {
			t.Fatal(err)
		}
		want(t, p.post("/v1/check-ins", body{"code": c.Code, "activity_id": other, "nonce": nonce()}), 409, "wrong_activity")
	})
}

func TestK5_ListsAndTotalsHoldWhatTheCallerMaySeeAndNothingElse(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		g := s.aGround()
		published, drafts := map[*land][]uint64{}, map[*land]uint64{}
		for _, l := range []*land{g.a, g.b, g.x} {
			published[l] = []uint64{g.activity(l, model.Published), g.activity(l, model.Closed), g.activity(l, model.Cancelled)}
			drafts[l] = g.activity(l, model.Draft)
		}
		for _, c := range g.callers {
			if c.person == nil {
				continue
			}
			work, mine := []uint64{}, []uint64{}
			for _, l := range []*land{g.a, g.b, g.x} {
				if !slices.Contains(c.lands, l) || c.role == liaison {
					continue
				}
				if c.role <= secretary { // they belong to the branch
					mine = append(mine, published[l]...)
				}
				if c.role >= committee {
					work = append(work, published[l]...)
				}
				if c.role == committee || c.role == secretary || c.role == administrator {
					work = append(work, drafts[l])
				}
			}
			for scope, allowed := range map[string][]uint64{"work": work, "mine": mine} {
				got := []uint64{}
				for _, a := range as[service.ActivityPage](t, c.get("/v1/activities?limit=100&scope="+scope)).Items {
					got = append(got, a.ID)
				}
				slices.Sort(got)
				slices.Sort(allowed)
				if !slices.Equal(got, allowed) {
					t.Errorf("%s lists %v of %s, want %v", c, got, scope, allowed)
				}
			}
			home := as[service.HomeScreen](t, c.get("/v1/home"))
			for _, a := range slices.Concat(home.Now, home.Next) {
				if !slices.Contains(mine, a.ID) {
					t.Errorf("%s sees activity %d on the first screen", c, a.ID)
				}
			}
			for _, a := range home.Work {
				if !slices.Contains(work, a.ID) {
					t.Errorf("%s has activity %d to work on", c, a.ID)
				}
			}
			offices := as[service.OrganisationPage](t, c.get("/v1/organisations")).Items
			for _, o := range offices {
				if !slices.ContainsFunc(g.posts(c.person), func(p model.Post) bool { return p.OrganisationID == o.ID }) {
					t.Errorf("%s has no post in %s and lists it", c, o.Name)
				}
			}
		}
		// Totals: a board counts its own branch, and a superior's list of
		// organisations holds what is below it.
		for l, ids := range published {
			b := as[service.Board](t, s.phone(l.secretary).get(g.path(ids[0], "/board")))
			if b.Tally.Expected != len(l.people) {
				t.Errorf("the board of %s expects %d", l.canary, b.Tally.Expected)
			}
			members := as[service.MemberPage](t, s.phone(l.secretary).get(l.organisation("/members"))).Items
			if len(members) != len(l.people) {
				t.Errorf("%s has %d members", l.canary, len(members))
			}
		}
		under := as[service.OrganisationPage](t, g.supervisor.get("/v1/organisations?parent_id="+jsonText(g.a.above))).Items
		for _, o := range under {
			if *o.ParentID != g.a.above {
				t.Errorf("%s is not below", o.Name)
			}
		}
	})
}

// posts are those that a person holds.
func (g *ground) posts(p *trial.Person) []model.Post {
	g.t.Helper()
	var posts []model.Post
	if err := g.DB.Find(&posts, "member_id = ?", p.ID).Error; err != nil {
		g.t.Fatal(err)
	}
	return posts
}

func TestK6_WhoeverReadsEverythingFindsNoForeignCanary(t *testing.T) {
	all := operations(t)
	eachStage(t, func(t *testing.T, s *stage) {
		g := s.aGround()
		g.live()
		paths := g.everyPath(all)
		for _, c := range g.callers {
			read, leaks := g.crawl(c, paths)
			for _, leak := range leaks {
				t.Errorf("%s reads %s", c, leak)
			}
			if c.person != nil && read == 0 {
				t.Errorf("%s could read nothing", c)
			}
		}
		// Control: a canary of another branch that does come through is found.
		if err := g.DB.Model(&model.Activity{}).Where("organisation_id = ?", g.a.branch.ID).Update("content", "学习"+g.b.canary).Error; err != nil {
			t.Fatal(err)
		}
		for _, c := range g.callers {
			if c.role == member && c.lands[0] == g.a {
				if _, leaks := g.crawl(c, paths); len(leaks) == 0 {
					t.Error("a planted canary is not found")
				}
			}
		}
	})
}

// live lets things happen in each land whose texts hold its canary.
func (g *ground) live() {
	g.t.Helper()
	for _, l := range []*land{g.a, g.b, g.x} {
		p := g.phone(l.secretary)
		g.activity(l, model.Draft)
		g.activity(l, model.Cancelled)
		open, closing := g.activity(l, model.Published), g.activity(l, model.Published)
		for _, id := range []uint64{open, closing} {
			c, err := g.Meetings.Code(g.t.Context(), g.Actor(l.secretary), id)
			if err != nil {
				g.t.Fatal(err)
			}
			want(g.t, g.phone(l.people[0]).post("/v1/check-ins", body{"code": c.Code, "nonce": nonce()}), 200, "ok")
			want(g.t, p.post(g.path(id, "/attendances"), body{"member_id": l.people[1].ID, "status": "present", "reason": "代记" + l.canary, "nonce": nonce()}), 200, "ok")
			want(g.t, p.post(g.path(id, "/attendances"), body{"member_id": l.people[2].ID, "status": "duty_leave", "reason": "出差" + l.canary, "nonce": nonce()}), 200, "ok")
			want(g.t, p.post(g.path(id, "/exemptions"), body{"member_id": l.people[4].ID, "exemption": "bedridden", "reason": "同意" + l.canary}), 200, "ok")
		}
		want(g.t, p.post(g.path(closing, "/closing"), nil), 200, "ok")
		want(g.t, p.post("/v1/organisations", body{"parent_id": l.branch.ID, "kind": "party_group", "unit_kind": "organ", "name": "新组" + l.canary}), 200, "ok")
		g.registration(l, true)
		g.registration(l, false)
		g.signUp(l, model.Seated)
		g.serviceDay(l, model.Draft, 0)
		g.objection(l)
		g.visit(l)
		g.complaint(l)
	}
}

// everyPath is every address that can be read, with every number that there
// is, and with every way to ask for a list.
func (g *ground) everyPath(all map[string]operation) []string {
	g.t.Helper()
	numbers := map[string][]uint64{}
	for name, table := range map[string]string{"activity_id": "activities", "organisation_id": "organisations", "member_id": "members", "post_id": "posts",
		"registration_id": "community_registrations", "service_day_id": "service_days", "slot_id": "service_slots", "sign_up_id": "slot_sign_ups",
		"pairing_id": "household_pairings", "photo_id": "photos", "vote_id": "votes"} {
		var ids []uint64
		if err := g.DB.Table(table).Pluck("id", &ids).Error; err != nil {
			g.t.Fatal(err)
		}
		numbers[name] = append(ids, 999999)
	}
	for name, kind := range map[string]model.OrganisationKind{"community_id": model.Community, "branch_id": model.Branch} {
		var ids []uint64
		if err := g.DB.Model(&model.Organisation{}).Where("kind = ?", kind).Pluck("id", &ids).Error; err != nil {
			g.t.Fatal(err)
		}
		numbers[name] = append(ids, 999999)
	}
	queries := map[string]func() []string{
		"listActivities":             func() []string { return []string{"?scope=mine&limit=100", "?scope=work&limit=100"} },
		"listOrganisations":          func() []string { return append(ask("parent_id", numbers["organisation_id"]), "") },
		"listCommunityRegistrations": func() []string { return append(ask("community_id", numbers["organisation_id"]), "") },
		"listServiceDays":            func() []string { return ask("community_id", numbers["organisation_id"]) },
		"listHourObjections":         func() []string { return append(ask("community_id", numbers["community_id"]), "") },
		"listHouseholdPairings":      func() []string { return append(ask("branch_id", numbers["organisation_id"]), "") },
		"ownServiceRecord":           func() []string { return []string{"?year=2025"} },
		"serviceRecord":              func() []string { return []string{"?year=2025"} },
		"serviceRecordPage":          func() []string { return []string{"?year=2025"} },
		"serviceRecordWorkbook":      func() []string { return []string{"?year=2025"} },
		"listServiceSlots":           func() []string { return append(ask("community_id", numbers["organisation_id"]), "?from=2026-01-01") },
		"listComplaints":             func() []string { return []string{"?scope=received", ""} },
		"subscriptionRequests":       func() []string { return []string{"?purpose=activity", "?purpose=duty", "?purpose=service_day"} },
	}
	paths := []string{"/", "/openapi.json", "/healthz", "/readyz", "/c/1.1.1.AAAAAAAAAAAA"}
	for id, op := range all {
		if op.method != http.MethodGet {
			continue
		}
		some := []string{strings.ReplaceAll(op.path, "{quarter}", "2025Q4")}
		for name, ids := range numbers {
			if !strings.Contains(op.path, "{"+name+"}") {
				continue
			}
			var filled []string
			for _, path := range some {
				for _, n := range ids {
					filled = append(filled, strings.ReplaceAll(path, "{"+name+"}", jsonText(n)))
				}
			}
			some = filled
		}
		for _, path := range some {
			if strings.Contains(path, "{") {
				g.t.Fatalf("%s: this test does not know what to put into %s", id, path)
			}
			if q, ok := queries[id]; ok {
				for _, query := range q() {
					paths = append(paths, path+query)
				}
				continue
			}
			paths = append(paths, path)
		}
	}
	return paths
}

func ask(name string, ids []uint64) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = "?" + name + "=" + jsonText(id)
	}
	return all
}

// crawl reads all the paths and says how many had something to say and where
// something foreign was in it.
func (g *ground) crawl(c *caller, paths []string) (read int, leaks []string) {
	g.t.Helper()
	for _, path := range paths {
		r := c.send(http.MethodGet, call{path: path})
		switch r.Status {
		case 200:
			read++
		case 400, 401, 403, 404, 409:
		default:
			g.t.Errorf("%s by %s: %d %.200s", path, c, r.Status, r.Body)
		}
		bare, _, _ := strings.Cut(path, "?")
		for _, leak := range g.leaks(c, bare, r) {
			leaks = append(leaks, fmt.Sprintf("%s in %s: %.300q", leak, path, r.Body))
		}
	}
	return read, leaks
}

func TestK8_WhenAUnitMovesInTheTreeSightMovesWithItAtOnce(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		g := s.aGround()
		other := s.replica()
		district := s.District()
		town := s.Organisation(&district, model.TownCommittee, "镇党委")
		p := s.Member(s.Branch("镇机关党支部"), "镇督导员")
		s.Post(p, town, model.Supervisor)
		before, after, admin := g.supervisor.phone, s.phone(p), g.administrator.phone
		id := g.activity(g.b, model.Published)
		paths := []string{g.path(id, ""), g.path(id, "/board"), g.path(id, "/roster"), g.path(id, "/sheet"), g.b.organisation("/members"),
			"/v1/organisations?parent_id=" + jsonText(g.b.branch.ID), "/v1/organisations?parent_id=" + jsonText(g.b.group.ID), "/v1/organisations/" + jsonText(g.b.group.ID) + "/members"}
		sees := func(who *phone, want int) {
			t.Helper()
			for _, at := range []*stage{s, other} {
				for _, path := range paths {
					if r := who.at(at).get(path); r.Status != want {
						t.Errorf("%s: %d, want %d", path, r.Status, want)
					}
				}
				listed := strings.Contains(string(who.at(at).get("/v1/activities?scope=work").Body), g.b.canary)
				if listed != (want == 200) {
					t.Errorf("in the list: %v", listed)
				}
			}
		}
		sees(before, 200)
		sees(after, 404)
		moved := body{"parent_id": town.ID, "kind": "branch", "unit_kind": "organ", "name": g.b.branch.Name}
		want(t, admin.do("PUT", g.b.organisation(""), moved), 200, "ok")
		sees(before, 404)
		sees(after, 200)
		sees(s.phone(g.b.secretary), 200) // to its own people nothing changed
		// The superior itself moves, and what is under it goes along.
		if r := admin.do("PUT", "/v1/organisations/"+jsonText(town.ID), body{"parent_id": g.a.above, "kind": "primary_committee", "unit_kind": "organ", "name": "基层党委"}); r.Status != 200 {
			t.Fatalf("%d %s", r.Status, r.Body)
		}
		sees(before, 200)
		sees(after, 200)
	})
}

func TestK9_AnOrganisationIsNeverItsOwnSuperior(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		g := s.aGround()
		district := s.District()
		top := s.Organisation(&district, model.PrimaryCommittee, "基层党委")
		middle := s.Organisation(&top, model.GeneralBranch, "党总支")
		low := s.Organisation(&middle, model.Branch, "党支部")
		admin := g.administrator.phone
		put := func(o model.Organisation, parent uint64, kind model.OrganisationKind) *reply {
			return admin.put("/v1/organisations/"+jsonText(o.ID), body{"parent_id": parent, "kind": kind, "unit_kind": "organ", "name": o.Name})
		}
		want(t, put(middle, middle.ID, model.GeneralBranch), 400, "organisation_loop")
		want(t, put(top, middle.ID, model.PrimaryCommittee), 400, "organisation_loop")
		want(t, put(top, low.ID, model.PrimaryCommittee), 400, "organisation_loop")
		want(t, put(top, low.ID, model.PartyGroup), 400, "organisation_loop")
		want(t, put(middle, 999999, model.GeneralBranch), 404, "not_found")
		want(t, put(middle, g.x.branch.ID, model.GeneralBranch), 404, "not_found")
		want(t, put(middle, low.ID, model.GeneralBranch), 400, "organisation_loop")
		want(t, put(low, g.a.branch.ID, model.Branch), 400, "organisation_place")
		want(t, put(middle, 0, model.GeneralBranch), 403, "forbidden")
		for _, o := range []model.Organisation{top, middle, low} {
			var now model.Organisation
			if err := s.DB.Take(&now, o.ID).Error; err != nil || *now.ParentID != *o.ParentID {
				t.Errorf("%s moved (%v)", o.Name, err)
			}
		}
		// Both at once under each other: one may win, and everything still hangs from a root.
		one, two := s.Organisation(&district, model.PrimaryCommittee, "甲党委"), s.Organisation(&district, model.PrimaryCommittee, "乙党委")
		for range 10 {
			trial.Race(4, func(i int) {
				if i%2 == 0 {
					put(one, two.ID, model.GeneralBranch)
				} else {
					put(two, one.ID, model.GeneralBranch)
				}
			})
			for _, o := range []model.Organisation{one, two} {
				g.hangsFromARoot(o.ID)
				put(o, district.ID, model.PrimaryCommittee)
			}
		}
	})
}

// hangsFromARoot fails unless an organisation's superiors end.
func (g *ground) hangsFromARoot(id uint64) {
	g.t.Helper()
	at := &id
	for range 20 {
		var o model.Organisation
		if err := g.DB.Take(&o, *at).Error; err != nil {
			g.t.Fatal(err)
		}
		if at = o.ParentID; at == nil {
			return
		}
	}
	g.t.Errorf("organisation %d hangs from itself", id)
}

func TestK11_APhoneNumberIsMaskedAbsentOrAudited(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		g := s.aGround()
		victim := g.a.people[4]
		masked := victim.Phone[:3] + "****" + victim.Phone[7:]
		for _, c := range g.callers {
			if !slices.Contains(c.lands, g.a) {
				continue
			}
			list := c.get(g.a.organisation("/members"))
			keeps := c.role == secretary || c.role == administrator
			if strings.Contains(string(list.Body), masked) != keeps || strings.Contains(string(list.Body), victim.Phone) {
				t.Errorf("%s lists %s", c, list.Body)
			}
			before := s.audited("view_phone", "member", victim.ID)
			r := c.get("/v1/members/" + jsonText(victim.ID) + "/phone")
			if keeps != (r.Status == 200 && strings.Contains(string(r.Body), victim.Phone)) {
				t.Errorf("%s is told %d %s", c, r.Status, r.Body)
			}
			if seen := s.audited("view_phone", "member", victim.ID) - before; (seen == 1) != keeps || seen > 1 {
				t.Errorf("%s left %d audit rows", c, seen)
			}
		}
		// A look at several is several entries, and the one looked at is named in each.
		p := s.phone(g.a.secretary)
		for _, who := range g.a.people {
			want(t, p.get("/v1/members/"+jsonText(who.ID)+"/phone"), 200, "ok")
			if s.audited("view_phone", "member", who.ID) == 0 {
				t.Errorf("a look at %s is not on record", who.Name)
			}
		}
	})
}

func TestK14_WhoOnlyRunsTheMeetingSeesNamesAndNothingElseOfPeople(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		g := s.aGround()
		id := g.activity(g.a, model.Published)
		p := s.phone(g.a.people[2]) // of the committee: runs meetings, keeps no roster
		lines := as[struct{ Items []map[string]any }](t, p.get(g.path(id, "/roster"))).Items
		if len(lines) != len(g.a.people) {
			t.Fatalf("%d on the roster", len(lines))
		}
		allowed := []string{"at", "counted", "exempt", "group", "guest", "late", "member_id", "name", "provenance", "status", "votes"}
		for _, line := range lines {
			if keys := slices.Sorted(maps.Keys(line)); !slices.Equal(keys, allowed) {
				t.Errorf("a line of the roster says %v", keys)
			}
		}
		members := as[struct{ Items []map[string]any }](t, p.get(g.a.organisation("/members"))).Items
		allowed = []string{"bound", "group", "group_id", "id", "leader", "name", "posts", "status"}
		for _, m := range members {
			if keys := slices.Sorted(maps.Keys(m)); !slices.Equal(keys, allowed) {
				t.Errorf("a line of the members says %v", keys)
			}
		}
		want(t, p.get("/v1/members/"+jsonText(g.a.victim)+"/phone"), 403, "forbidden")
		board := string(p.get(g.path(id, "/board")).Body)
		for _, who := range g.a.people {
			if strings.Contains(board, who.Phone) || strings.Contains(board, who.User.OpenID) {
				t.Errorf("the board tells more than the name: %s", board)
			}
		}
	})
}
