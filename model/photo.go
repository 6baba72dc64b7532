package model

import "time"

// Refusals of photos and paper sheets.
var (
	ErrPhotoNotFound = &Error{Kind: NotFound, Code: "photo_not_found", Message: "没有这张照片，请刷新后再试"}
	ErrPhotoType     = &Error{Kind: Invalid, Code: "photo_type", Message: "只收 JPEG 或 PNG 照片，请换一张"}
	ErrPhotoTooLarge = &Error{Kind: Invalid, Code: "photo_too_large", Message: "照片太大：不能超过 10 MB，也不能超过四千万像素，请用手机相机重拍或缩小后再传"}
	ErrPhotoBroken   = &Error{Kind: Invalid, Code: "photo_broken", Message: "照片不完整，打不开，请重新选择或重拍"}
	ErrPhotoCount    = &Error{Kind: Conflict, Code: "photo_count", Message: "一场会议每个支部最多存 60 张照片，请先移除不要的"}
	ErrPhotoUsed     = &Error{Kind: Conflict, Code: "photo_used", Message: "已经按这张照片登记过到会，照片是依据，不能移除；登记错了请用“更正”"}
	ErrPhotoSigned   = &Error{Kind: Conflict, Code: "photo_signed", Message: "会议记录已由书记签字，照片不能再移除；确要移除，请先改会议记录，移除后再请书记签字"}
	ErrNotPaperPhoto = &Error{Kind: Conflict, Code: "not_paper_photo", Message: "请先上传纸质签到表的照片，再按照片登记"}
)

// MaxPhotos is how many photos of one activity each branch keeps.
const MaxPhotos = 60

// PhotoPurpose is what a photo shows.
type PhotoPurpose string

// The purposes.
const (
	PaperSheetPhoto PhotoPurpose = "paper_sheet" // 纸质签到表
	ScenePhoto      PhotoPurpose = "scene"       // 会场
)

// Photo is a photo of an activity. What was sent is never kept: Digest is the
// SHA-256 of the JPEG that was made of it, under which the file store has it.
type Photo struct {
	ID         uint64
	ActivityID uint64
	PartnerID  uint64 // the branch that joined the meeting and attached it; 0: the host
	Purpose    PhotoPurpose
	Digest     string
	Width      int
	Height     int
	Bytes      int
	AttachedBy uint64
	AttachedAt time.Time

	Removed      uint64 // 0, or once removed its own id
	RemovedBy    *uint64
	RemovedAt    *time.Time
	RemoveReason string
	ContentGone  bool // the store has nothing of it any more, unless another row needs it
}

// PaperSheet is a paper 签到表 that was put on record from its photo. Who was
// recorded by it has its nonce in their attendance.
type PaperSheet struct {
	ID         uint64
	ActivityID uint64
	PhotoID    uint64
	RecordedBy uint64
	RecordedAt time.Time
	Once       `gorm:"embedded"`
}
