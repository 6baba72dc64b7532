package api

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"dangri/model"
	"dangri/service"
)

type offlineRequest struct {
	OfActivity
	Body offlineBatch
}

// offlineBatch is what a phone has noted.
type offlineBatch struct {
	Items []offlineItem `json:"items" minItems:"1" maxItems:"200" doc:"离线的签到"`
}

// offlineItem is one of them, however it is formed: a malformed one is refused
// by itself and takes none of the others with it.
type offlineItem struct{ service.OfflineInput }

var (
	offlineSchemas = huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	offlineSchema  = offlineSchemas.Schema(reflect.TypeFor[service.OfflineInput](), false, "")
)

// Schema is what an item should be, or anything.
func (*offlineItem) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "不合要求的一条单独拒绝并留存，不影响其他各条",
		AnyOf: []*huma.Schema{r.Schema(reflect.TypeFor[service.OfflineInput](), true, ""), {}}}
}

// UnmarshalJSON reads the fields that are as they should be, and keeps the text
// of an item that has others, or not all.
func (i *offlineItem) UnmarshalJSON(text []byte) error {
	var whole any
	if err := strictJSON.Unmarshal(text, &whole); err != nil {
		return err
	}
	sound := fits(offlineSchema, whole)
	fields, _ := whole.(map[string]any)
	for name, value := range fields {
		described := offlineSchema.Properties[name]
		if described == nil || !fits(described, value) || !i.read(name, value) {
			sound = false
		}
	}
	if !sound {
		i.Malformed = string(text)
	}
	return nil
}

// read takes over one field, or says that it cannot be read.
func (i *offlineItem) read(name string, value any) bool {
	alone, err := json.Marshal(map[string]any{name: value})
	read := i.OfflineInput
	if err != nil || strictJSON.Unmarshal(alone, &read) != nil {
		return false
	}
	i.OfflineInput = read
	return true
}

func fits(s *huma.Schema, value any) bool {
	var found huma.ValidateResult
	huma.Validate(offlineSchemas, s, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, value, &found)
	return len(found.Errors) == 0
}

func uploadOfflineCheckIns(s *service.Services) useCase[offlineRequest, *service.OfflineAnswers] {
	return func(ctx context.Context, actor *model.Actor, r *offlineRequest) (*service.OfflineAnswers, error) {
		items := make([]service.OfflineInput, len(r.Body.Items))
		for i := range items {
			items[i] = r.Body.Items[i].OfflineInput
		}
		return s.OfflineItems.Upload(ctx, actor, r.ActivityID, items)
	}
}

type offlineItemsRequest struct {
	OfActivity
	Scope  service.OfflineScope `query:"scope" enum:"refused,all" default:"refused" doc:"范围：refused 没有记上的，all 全部"`
	Cursor string               `query:"cursor" maxLength:"64" doc:"翻页位置：上一页的 next"`
	Limit  int                  `query:"limit" minimum:"1" maximum:"100" default:"100" doc:"每页的条数"`
}

func listOfflineItems(s *service.Services) useCase[offlineItemsRequest, *service.OfflinePage] {
	return func(ctx context.Context, actor *model.Actor, r *offlineItemsRequest) (*service.OfflinePage, error) {
		return s.OfflineItems.List(ctx, actor, r.ActivityID, r.Scope, r.Cursor, r.Limit)
	}
}
