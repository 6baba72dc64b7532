package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"dangri/model"
	"dangri/service"
)

type attachPhotoRequest struct {
	OfSide
	Purpose model.PhotoPurpose `query:"purpose" required:"true" enum:"paper_sheet,scene" doc:"照片的用途：paper_sheet 纸质签到表，scene 会场"`
	RawBody huma.MultipartFormFiles[struct {
		File huma.FormFile `form:"file" required:"true" doc:"照片：JPEG 或 PNG，不超过 10 MB；拍摄地点等信息不会保留"`
	}]
}

func attachPhoto(s *service.Services) useCase[attachPhotoRequest, *service.PhotoView] {
	return func(ctx context.Context, actor *model.Actor, r *attachPhotoRequest) (*service.PhotoView, error) {
		return s.Photos.Attach(ctx, actor, r.ActivityID, r.BranchID, r.Purpose, r.RawBody.Data().File)
	}
}

func listPhotos(s *service.Services) useCase[OfActivity, *service.PhotoList] {
	return func(ctx context.Context, actor *model.Actor, r *OfActivity) (*service.PhotoList, error) {
		return s.Photos.List(ctx, actor, r.ActivityID)
	}
}

type ofPhoto struct {
	OfActivity
	PhotoID uint64 `path:"photo_id" minimum:"1" maximum:"9007199254740991"`
}

func readPhoto(s *service.Services) useCase[ofPhoto, []byte] {
	return func(ctx context.Context, actor *model.Actor, r *ofPhoto) ([]byte, error) {
		return s.Photos.Read(ctx, actor, r.ActivityID, r.PhotoID)
	}
}

type removePhotoRequest struct {
	OfActivity
	PhotoID uint64 `path:"photo_id" minimum:"1" maximum:"9007199254740991"`
	Body    service.RemovalInput
}

func removePhoto(s *service.Services) useCase[removePhotoRequest, *service.PhotoView] {
	return func(ctx context.Context, actor *model.Actor, r *removePhotoRequest) (*service.PhotoView, error) {
		return s.Photos.Remove(ctx, actor, r.ActivityID, r.PhotoID, r.Body)
	}
}
