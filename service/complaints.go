package service

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Complaints is what members say to those above their branch, past whoever it
// may be about.
type Complaints struct {
	db       *gorm.DB
	settings Settings
	now      func() time.Time
}

// ComplaintInput is a complaint or a request about one's own data.
type ComplaintInput struct {
	Kind       model.ComplaintKind `json:"kind" enum:"formalism,data,correction,erasure,other" doc:"意见的种类：formalism 形式主义、加重负担，data 个人信息，correction 请求更正，erasure 请求注销，other 其他"`
	Text       string              `json:"text" minLength:"2" maxLength:"500" doc:"意见"`
	Anonymous  bool                `json:"anonymous,omitempty" doc:"匿名：看的人不知道是谁提的；系统只留编号，用来防止滥用和把答复带给您"`
	ActivityID uint64              `json:"about_activity_id,omitempty" maximum:"9007199254740991" doc:"关于哪场活动"`
	Nonce      string              `json:"nonce" minLength:"8" maxLength:"64" pattern:"^[0-9A-Za-z_-]+$" doc:"提交编号：每次提交生成一次，重试时不变"`
}

// ComplaintView is a complaint as its reader may see it.
type ComplaintView struct {
	ID         uint64              `json:"id"`
	Kind       model.ComplaintKind `json:"kind"`
	Text       string              `json:"text"`
	Anonymous  bool                `json:"anonymous"`
	Branch     string              `json:"branch"`
	Name       string              `json:"name" doc:"匿名的为空"`
	MemberID   uint64              `json:"member_id,omitempty" doc:"匿名的不给"`
	ActivityID *uint64             `json:"about_activity_id"`
	CreatedAt  time.Time           `json:"created_at"`
	Answer     string              `json:"answer"`
	AnsweredAt *time.Time          `json:"answered_at"`
}

// ComplaintPage is a part of a list of complaints, the newest first.
type ComplaintPage struct {
	Items []ComplaintView `json:"items"`
	Next  string          `json:"next,omitempty" doc:"下一页的 cursor；没有就是到底了"`
}

// complaintsADay is how many one member may write within a day.
const complaintsADay = 5

// Create takes a member's complaint to the supervisors above their branch and
// to the administrators; whoever works in the branch does not see it. The
// readers of an anonymous one are not told whose it is; the system itself keeps
// the number of the member, to bound how many one person writes and to bring
// them the answer. Five a day at most. A retry answers with the first.
func (s *Complaints) Create(ctx context.Context, actor *model.Actor, in ComplaintInput) (*ComplaintView, error) {
	now, text := s.now(), cleanText(in.Text)
	if len([]rune(text)) < 2 {
		return nil, model.BadField("text", "请写明意见，至少两个字")
	}
	once := model.Once{Nonce: in.Nonce, Fingerprint: digest(fmt.Sprint(in.Kind, "|", in.Anonymous, "|", in.ActivityID, "|", text))[:22]}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*ComplaintView, error) {
		if _, err := lock[model.Member](tx, actor.MemberID, model.ErrNotBound); err != nil {
			return nil, err
		}
		first, err := firstTry[model.Complaint](tx, once, nil, "member_id = ?", actor.MemberID)
		if err != nil {
			return nil, err
		}
		if first != nil {
			return complaintOf(tx, first.ID, actor.MemberID)
		}
		if actor.BranchID == 0 {
			return nil, model.ErrNoComplaintBranch
		}
		if in.ActivityID != 0 {
			if _, _, _, err := seen(tx, actor, in.ActivityID); err != nil {
				return nil, err
			}
		}
		var written int64
		err = tx.Model(&model.Complaint{}).Where("member_id = ? AND created_at > ?", actor.MemberID, now.Add(-24*time.Hour)).Count(&written).Error
		if err != nil {
			return nil, fmt.Errorf("count complaints: %w", err)
		}
		if written >= complaintsADay {
			return nil, model.ErrTooManyComplaints
		}
		row := model.Complaint{MemberID: actor.MemberID, BranchID: actor.BranchID, Kind: in.Kind, Text: text, Anonymous: in.Anonymous,
			ActivityID: ref(in.ActivityID), CreatedAt: now, Once: once}
		if err := tx.Create(&row).Error; err != nil {
			return nil, fmt.Errorf("write complaint: %w", err)
		}
		return complaintOf(tx, row.ID, actor.MemberID)
	})
}

// complaintRow is a complaint with the words that go with it.
type complaintRow struct {
	model.Complaint
	Branch string
	Name   string
}

func complaintRows(tx *gorm.DB) *gorm.DB {
	return tx.Table("complaints c").Select("c.*, o.name AS branch, m.name AS name").
		Joins("JOIN organisations o ON o.id = c.branch_id").Joins("JOIN members m ON m.id = c.member_id")
}

// view is the complaint as the reader may see it: only its own writer sees whose
// an anonymous one is.
func (r *complaintRow) view(reader uint64) ComplaintView {
	v := ComplaintView{ID: r.ID, Kind: r.Kind, Text: r.Text, Anonymous: r.Anonymous, Branch: r.Branch, Name: r.Name, MemberID: r.MemberID,
		ActivityID: r.ActivityID, CreatedAt: r.CreatedAt, Answer: r.Answer, AnsweredAt: r.AnsweredAt}
	if r.Anonymous && r.MemberID != reader {
		v.Name, v.MemberID = "", 0
	}
	return v
}

func complaintOf(tx *gorm.DB, id, reader uint64) (*ComplaintView, error) {
	var row complaintRow
	if err := complaintRows(tx).Where("c.id = ?", id).Scan(&row).Error; err != nil {
		return nil, fmt.Errorf("read complaint %d: %w", id, err)
	}
	v := row.view(reader)
	return &v, nil
}

// List is the caller's own complaints with their answers or, where received,
// those that come to the caller as supervisor or administrator.
func (s *Complaints) List(ctx context.Context, actor *model.Actor, received bool, cursor string, limit int) (*ComplaintPage, error) {
	db := s.db.WithContext(ctx)
	before, err := readPlace(cursor)
	if err != nil {
		return nil, err
	}
	page := &ComplaintPage{Items: []ComplaintView{}}
	rows := complaintRows(db).Where("c.member_id = ?", actor.MemberID)
	if received {
		offices := actor.Offices(model.Supervisor, model.Administrator)
		if len(offices) == 0 {
			return nil, model.ErrForbidden
		}
		var under []uint64
		if err := db.Model(&model.Organisation{}).Where("parent_id IN ?", offices).Pluck("id", &under).Error; err != nil {
			return nil, fmt.Errorf("organisations under offices: %w", err)
		}
		// As model.Actor.HearsComplaints says it of one.
		rows = complaintRows(db).Where("c.branch_id IN (?) AND c.branch_id NOT IN ?", below(db, append(under, 0)),
			append(actor.DeafTo(), 0))
	}
	if before != 0 {
		rows = rows.Where("c.id < ?", before)
	}
	var found []complaintRow
	if err := rows.Order("c.id DESC").Limit(limit + 1).Scan(&found).Error; err != nil {
		return nil, fmt.Errorf("list complaints: %w", err)
	}
	if len(found) > limit {
		found = found[:limit]
		page.Next = writePlace(found[limit-1].ID)
	}
	for i := range found {
		page.Items = append(page.Items, found[i].view(actor.MemberID))
	}
	return page, nil
}

// ComplaintAnswer is the answer to a complaint.
type ComplaintAnswer struct {
	Answer string `json:"answer" minLength:"2" maxLength:"500" doc:"答复，提出的人看得到"`
}

// Answer answers a complaint once, for who hears it and did not write it. The
// same answer again changes nothing.
func (s *Complaints) Answer(ctx context.Context, actor *model.Actor, id uint64, in ComplaintAnswer) (*ComplaintView, error) {
	now, answer := s.now(), cleanText(in.Answer)
	if len([]rune(answer)) < 2 {
		return nil, model.BadField("answer", "请写明答复，至少两个字")
	}
	return inTx(ctx, s.db, func(tx *gorm.DB) (*ComplaintView, error) {
		row, err := lock[model.Complaint](tx, id, model.ErrComplaintNotFound)
		if err != nil {
			return nil, err
		}
		line, err := lineOf(tx, row.BranchID)
		switch {
		case err != nil:
			return nil, err
		case !actor.HearsComplaints(line):
			return nil, model.ErrComplaintNotFound
		case row.MemberID == actor.MemberID:
			return nil, model.ErrOwnComplaint
		case row.AnsweredAt != nil && row.Answer == answer && deref(row.AnsweredBy) == actor.MemberID:
			return complaintOf(tx, id, actor.MemberID)
		case row.AnsweredAt != nil:
			return nil, model.ErrComplaintAnswered
		}
		if err := tx.Model(row).Updates(map[string]any{"answer": answer, "answered_by": actor.MemberID, "answered_at": now}).Error; err != nil {
			return nil, fmt.Errorf("answer complaint %d: %w", id, err)
		}
		if err := auditBy(tx, now, actor, "answer_complaint", "complaint", id, "ok", nil); err != nil {
			return nil, err
		}
		return complaintOf(tx, id, actor.MemberID)
	})
}
