package service

import (
	"time"

	"gorm.io/gorm"
)

// Imports is organisations and members by the sheet.
type Imports struct {
	db       *gorm.DB
	sessions *Sessions
	seal     *sealer
	settings Settings
	now      func() time.Time
}
