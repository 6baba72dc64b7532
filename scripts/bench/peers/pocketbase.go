package main

import (
	"fmt"
	"net/http"

	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	_ "github.com/pocketbase/pocketbase/migrations" // its own tables
	"github.com/pocketbase/pocketbase/tools/types"
	"golang.org/x/crypto/bcrypt"
)

// pocketBase is the check-in as PocketBase's manual has it: a collection with
// two relations and a unique index, in which members create records of their
// own. Everything else is as it comes, on a folder of its own.
func pocketBase(folder string, t town) (http.Handler, []string, error) {
	app := core.NewBaseApp(core.BaseAppConfig{DataDir: folder})
	if err := app.Bootstrap(); err != nil {
		return nil, nil, fmt.Errorf("bootstrap: %w", err)
	}
	if err := app.RunAllMigrations(); err != nil {
		return nil, nil, fmt.Errorf("migrate: %w", err)
	}
	users, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		return nil, nil, fmt.Errorf("find users: %w", err)
	}
	activities := core.NewBaseCollection("activities")
	activities.Fields.Add(&core.TextField{Name: "title", Required: true})
	if err := app.Save(activities); err != nil {
		return nil, nil, fmt.Errorf("make activities: %w", err)
	}
	checkIns := core.NewBaseCollection("checkins")
	checkIns.Fields.Add(
		&core.RelationField{Name: "activity", CollectionId: activities.Id, Required: true, MaxSelect: 1},
		&core.RelationField{Name: "member", CollectionId: users.Id, Required: true, MaxSelect: 1},
		&core.AutodateField{Name: "created", OnCreate: true},
	)
	checkIns.AddIndex("checkins_once", true, "activity, member", "")
	checkIns.CreateRule = types.Pointer("@request.auth.id != '' && member = @request.auth.id")
	checkIns.ViewRule = types.Pointer("member = @request.auth.id")
	if err := app.Save(checkIns); err != nil {
		return nil, nil, fmt.Errorf("make check-ins: %w", err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("nobody signs in by it"), bcrypt.MinCost)
	if err != nil {
		return nil, nil, fmt.Errorf("hash: %w", err)
	}
	tokens := make([]string, t.people)
	err = app.RunInTransaction(func(tx core.App) error {
		for i := range t.activities {
			r := core.NewRecord(activities)
			r.Id = fmt.Sprintf("act%012d", i+1)
			r.Set("title", fmt.Sprintf("第%d次主题党日", i+1))
			if err := tx.SaveNoValidate(r); err != nil {
				return err
			}
		}
		for i := range tokens {
			r := core.NewRecord(users)
			r.Id = fmt.Sprintf("mem%012d", i+1)
			r.Set("email", fmt.Sprintf("m%d@example.cn", i+1))
			r.Set("name", fmt.Sprintf("党员%06d", i+1))
			r.SetRaw("password", &core.PasswordFieldValue{Hash: string(hash)})
			r.RefreshTokenKey()
			if err := tx.SaveNoValidate(r); err != nil {
				return err
			}
			var err error
			if tokens[i], err = r.NewAuthToken(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("seed: %w", err)
	}
	router, err := apis.NewRouter(app)
	if err != nil {
		return nil, nil, fmt.Errorf("route: %w", err)
	}
	handler, err := router.BuildMux()
	if err != nil {
		return nil, nil, fmt.Errorf("route: %w", err)
	}
	return handler, tokens, nil
}
