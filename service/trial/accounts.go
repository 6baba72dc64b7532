package trial

import (
	"database/sql"
	"fmt"

	"github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"dangri/model"
	"dangri/service"
)

// AsReplica is the World's database on the server by an account with the rights
// that the deployment gives to replicas. As there, the tables' owner passes
// them on: another account, that may do so and no more.
func (w *World) AsReplica() *gorm.DB {
	w.t.Helper()
	s, err := theServer()
	if err != nil {
		w.t.Fatal(err)
	}
	cfg, err := mysql.ParseDSN(w.DSN)
	if err != nil {
		w.t.Fatal(err)
	}
	owner, app := cfg.DBName[len(cfg.DBName)-12:]+"_owner", cfg.DBName[len(cfg.DBName)-12:]+"_app"
	for _, name := range []string{owner, app} {
		w.mustExec(s.db, fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY 'only-for-tests'", name))
		w.Cleanup(func() { w.mustExec(s.db, fmt.Sprintf("DROP USER '%s'@'%%'", name)) })
	}
	w.mustExec(s.db, fmt.Sprintf("GRANT ALL ON %s.* TO '%s'@'%%' WITH GRANT OPTION", cfg.DBName, owner))
	as := func(name string) *gorm.DB {
		by := cfg.Clone()
		by.User, by.Passwd = name, "only-for-tests"
		db, err := service.OpenDatabase(by.FormatDSN())
		if err != nil {
			w.t.Fatal(err)
		}
		w.Cleanup(func() {
			if conns, err := db.DB(); err == nil {
				_ = conns.Close()
			}
		})
		return db
	}
	conns, err := as(owner).DB()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := model.Grant(w.t.Context(), conns, app); err != nil {
		w.t.Fatal(err)
	}
	return as(app)
}

func (w *World) mustExec(db *sql.DB, statement string) {
	w.t.Helper()
	if _, err := db.Exec(statement); err != nil {
		w.t.Errorf("%s: %v", statement, err)
	}
}
