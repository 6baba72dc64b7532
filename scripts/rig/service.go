package rig

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"gorm.io/gorm"

	"dangri/model"
)

// Service is open slots of communities of the town.
type Service struct {
	town  *Town
	first uint64 // the others follow
	slots int
}

const (
	slotsPerDay = 20
	communities = 20
)

// Serve publishes so many slots with room for so many each, twenty a day from
// the day after so many days on, in the communities in turn.
func (t *Town) Serve(slots, capacity, after int) (*Service, error) {
	now := time.Now().UTC().Truncate(time.Second)
	s := &Service{town: t, slots: slots}
	err := t.db.Transaction(func(tx *gorm.DB) error {
		var homes []model.Organisation
		for i := range communities {
			o := model.Organisation{Kind: model.Community, Name: fmt.Sprintf("第%d社区", i+1)}
			if err := tx.Where(&o).Attrs(model.Organisation{UnitKind: model.CommunityUnit, CreatedAt: now}).FirstOrCreate(&o).Error; err != nil {
				return err
			}
			homes = append(homes, o)
		}
		for n := 0; n < slots; n += slotsPerDay {
			start := now.AddDate(0, 0, after+n/slotsPerDay)
			d := model.ServiceDay{CommunityID: homes[n/slotsPerDay%communities].ID, Title: "固定服务日", Content: "清扫楼道，陪老人聊天", Place: "社区活动室",
				Contact: "社区办公室", StartsAt: start, EndsAt: start.Add(2 * time.Hour), SignUpUntil: start, CancelUntil: start.AddDate(0, 0, -1), MinimumMinutes: 30,
				Status: model.Published, CodeEpoch: 1, Version: 1, PublishedAt: &now, CreatedAt: now, Once: model.Once{Nonce: fmt.Sprintf("rig-service-%d-%d", time.Now().UnixNano(), n)}}
			if err := tx.Create(&d).Error; err != nil {
				return err
			}
			rows := make([]model.ServiceSlot, min(slotsPerDay, slots-n))
			for i := range rows {
				rows[i] = model.ServiceSlot{ServiceDayID: d.ID, CommunityID: d.CommunityID, Name: fmt.Sprintf("岗位%d", i+1), Skill: model.AnySkill,
					StartsAt: start, EndsAt: d.EndsAt, Open: true, Capacity: capacity}
				if i%4 == 0 {
					rows[i].Skill = model.Law
				}
			}
			if err := tx.Create(&rows).Error; err != nil {
				return err
			}
			if n == 0 {
				s.first = rows[0].ID
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("publish service days: %w", err)
	}
	return s, nil
}

// Slot is the slot that a person signs up for: people are spread over all of them.
func (s *Service) Slot(person int) uint64 { return s.first + uint64(person%s.slots) }

// SignUp is the request by which a person's phone signs up.
func (s *Service) SignUp(person int, nonce string) []byte {
	body, _ := json.Marshal(map[string]string{"nonce": nonce}) // strings always can
	return Request(http.MethodPost, fmt.Sprintf("/v1/service-slots/%d/sign-ups", s.Slot(person)), s.town.Token(person), body)
}

// Taken counts the rows of the slots, and what the slots themselves count.
func (s *Service) Taken() (rows, counted int64, err error) {
	var out struct{ Rows, Counted int64 }
	err = s.town.db.Raw("SELECT (SELECT COUNT(*) FROM slot_sign_ups WHERE slot_id >= ? AND slot_id < ? AND state = 'seated') AS `rows`, "+
		"(SELECT COALESCE(SUM(taken), 0) FROM service_slots WHERE id >= ? AND id < ?) AS counted",
		s.first, s.first+uint64(s.slots), s.first, s.first+uint64(s.slots)).Scan(&out).Error
	if err != nil {
		return 0, 0, fmt.Errorf("count seats: %w", err)
	}
	return out.Rows, out.Counted, nil
}
