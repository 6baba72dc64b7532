package service_test

import (
	"errors"
	"testing"
	"time"

	"dangri/model"
	"dangri/service"
	"dangri/service/trial"
)

func TestD5_TwoTransfersInTwoBranchesBothReachTheSuperiorsRoster(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		general := w.Organisation(new(w.Agencies()), model.GeneralBranch, "机关党总支")
		branches := make([]model.Organisation, 4)
		for i := range branches {
			branches[i] = w.Organisation(&general, model.Branch, string(rune('甲'+i))+"党支部")
		}
		head := w.Member(branches[0], "总支书记")
		w.Post(head, general, model.Secretary)
		for range 6 {
			first := w.Member(branches[0], "先转的")
			w.Members(branches[3], 3) // neighbours on a key serialise by accident
			second := w.Member(branches[1], "后转的")
			head.User.Touch()
			start := w.Clock.Now().Add(time.Hour)
			draft, err := w.Activities.Draft(t.Context(), w.Actor(head), service.DraftInput{OrganisationID: general.ID, Nonce: "nonce-" + start.Format("150405.000000"),
				ActivityInput: service.ActivityInput{Kind: model.PartyLecture, Title: "总支党课", StartsAt: start, EndsAt: start.Add(time.Hour)}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Activities.Publish(t.Context(), w.Actor(head), draft.ID); err != nil {
				t.Fatal(err)
			}
			moves := []struct {
				who *trial.Person
				to  model.Organisation
			}{{first, branches[2]}, {second, branches[3]}}
			trial.Race(2, func(i int) {
				if _, err := w.Services.Members.Transfer(t.Context(), model.Operator(), moves[i].who.ID, service.TransferInput{BranchID: moves[i].to.ID}); err != nil {
					t.Error(err)
				}
			})
			for _, m := range moves {
				var entry model.RosterEntry
				if err := w.DB.Take(&entry, "activity_id = ? AND member_id = ?", draft.ID, m.who.ID).Error; err != nil || entry.BranchID != m.to.ID {
					t.Errorf("%s is on the roster for branch %d, moved to %d (%v)", m.who.Name, entry.BranchID, m.to.ID, err)
				}
			}
			w.Clock.Advance(time.Minute)
		}
	})
}

func TestC10_ALeaveThatIsOnRecordSurvivesTheClosing(t *testing.T) {
	trial.EachStore(t, func(t *testing.T, w *trial.World) {
		branch := w.Branch("第一党支部")
		secretary := w.Member(branch, "沈书记")
		w.Post(secretary, branch, model.Secretary)
		member := w.Member(branch, "丁一")
		for round := range 8 {
			secretary.User.Touch()
			start := w.Clock.Now().Add(time.Minute)
			nonce := "nonce-" + start.Format("20060102150405")
			draft, err := w.Activities.Draft(t.Context(), w.Actor(secretary), service.DraftInput{OrganisationID: branch.ID, Nonce: nonce,
				ActivityInput: service.ActivityInput{Kind: model.ThemePartyDay, Title: "主题党日", StartsAt: start, EndsAt: start.Add(time.Hour)}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Activities.Publish(t.Context(), w.Actor(secretary), draft.ID); err != nil {
				t.Fatal(err)
			}
			w.Clock.Advance(2 * time.Minute)
			var noted, closed error
			trial.Race(2, func(i int) {
				if i == 0 {
					_, noted = w.Meetings.Record(t.Context(), w.Actor(secretary), draft.ID, service.RecordInput{MemberID: member.ID, Status: model.SickLeave, Nonce: nonce})
				} else {
					_, closed = w.Meetings.Close(t.Context(), w.Actor(secretary), draft.ID)
				}
			})
			if closed != nil {
				t.Fatal(closed)
			}
			var row model.Attendance
			if err := w.DB.Take(&row, "activity_id = ? AND member_id = ?", draft.ID, member.ID).Error; err != nil {
				t.Fatal(err)
			}
			switch {
			case noted == nil && row.Status != model.SickLeave:
				t.Errorf("round %d: the secretary was told of the leave, and the member is %s", round, row.Status)
			case noted != nil && (!errors.Is(noted, model.ErrWrongStatus) || row.Status != model.Absent):
				t.Errorf("round %d: %v, %s", round, noted, row.Status)
			}
		}
	})
}
