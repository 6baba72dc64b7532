package service

import (
	"encoding/json"
	"fmt"

	"gorm.io/gorm"

	"dangri/model"
)

// onceOf is the key of a write: the nonce, with the digest of what was asked.
func onceOf(nonce string, asked any) (model.Once, error) {
	content, err := json.Marshal(asked)
	if err != nil {
		return model.Once{}, fmt.Errorf("digest what was asked: %w", err)
	}
	return model.Once{Nonce: nonce, Fingerprint: digest(string(content))[:22]}, nil
}

// firstTry is the row that an earlier try with the nonce made, among those of
// whose; refused where that try asked for something else. Where there is no such
// row it is nil with the error none: nil before the write, and after a duplicate
// key whatever explains it.
func firstTry[T interface {
	Replays(again model.Once) (bool, error)
}](tx *gorm.DB, once model.Once, none error, whose string, ids ...any) (*T, error) {
	var rows []T
	if err := tx.Where(whose, ids...).Limit(1).Find(&rows, "nonce = ?", once.Nonce).Error; err != nil {
		return nil, fmt.Errorf("find first try: %w", err)
	}
	if len(rows) == 0 {
		return nil, none
	}
	if _, err := rows[0].Replays(once); err != nil {
		return nil, err
	}
	return &rows[0], nil
}
