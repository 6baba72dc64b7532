package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"dangri/model"
	"dangri/service"
)

// UploadedSheet is a spreadsheet sent as multipart/form-data, as wx.uploadFile does.
type UploadedSheet struct {
	DryRun  bool `query:"dry_run" doc:"只检查，不写入"`
	RawBody huma.MultipartFormFiles[struct {
		File huma.FormFile `form:"file" required:"true" doc:"表格：xlsx 或 csv，不超过 8 MB"`
	}]
}

func (u *UploadedSheet) sheet() service.ImportFile {
	f := u.RawBody.Data().File
	return service.ImportFile{Data: f, Size: f.Size, DryRun: u.DryRun}
}

type importRosterRequest struct {
	OfOrganisation
	UploadedSheet
}

func importRoster(s *service.Services) useCase[importRosterRequest, *service.ImportReport] {
	return func(ctx context.Context, actor *model.Actor, r *importRosterRequest) (*service.ImportReport, error) {
		return s.Imports.Roster(ctx, actor, r.OrganisationID, r.sheet())
	}
}

func importServiceHours(s *service.Services) useCase[importRosterRequest, *service.ImportReport] {
	return func(ctx context.Context, actor *model.Actor, r *importRosterRequest) (*service.ImportReport, error) {
		return s.Imports.Hours(ctx, actor, r.OrganisationID, r.sheet())
	}
}

func importOrganisations(s *service.Services) useCase[UploadedSheet, *service.ImportReport] {
	return func(ctx context.Context, actor *model.Actor, r *UploadedSheet) (*service.ImportReport, error) {
		return s.Imports.Organisations(ctx, actor, r.sheet())
	}
}
