package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"

	"dangri/model"
	"dangri/scripts/rig"
)

// opponents are the handlers that the product is measured against, each served
// by a process of its own on the same stores. All have pools of the product's
// sizes, and tables with its columns and keys.
var opponents = map[string]func(dsn, redisAddr string) (http.Handler, error){"floor": floor, "naive": naive}

// arrival is what they are sent: as long as a check-in of the product's.
type arrival struct {
	ActivityID uint64 `json:"activity_id" binding:"required"`
	Nonce      string `json:"nonce" binding:"required"`
}

func bearer(c *gin.Context) string {
	return strings.TrimPrefix(c.GetHeader("Authorization"), "Bearer ")
}

const (
	databasePool = 32
	redisPool    = 64
)

// floor is the least that one durable arrival can cost alone: one GET, and one
// INSERT by a statement that was prepared once. It decides nothing.
func floor(dsn, redisAddr string) (http.Handler, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(databasePool)
	db.SetMaxIdleConns(databasePool)
	//nolint:sqlclosecheck // it serves as long as the process
	insert, err := db.PrepareContext(context.Background(), `INSERT INTO floor_attendances
		(activity_id, member_id, branch_id, status, provenance, at, location, guest, reason, nonce, fingerprint)
		VALUES (?, ?, 1, 'present', 'scan', ?, 'not_given', 0, '', ?, '')`)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	client := redis.NewClient(&redis.Options{Addr: redisAddr, PoolSize: redisPool})
	engine := gin.New()
	engine.POST("/v1/check-ins", func(c *gin.Context) {
		var in arrival
		if err := c.ShouldBindJSON(&in); err != nil {
			c.Status(http.StatusBadRequest)
			return
		}
		member, err := client.Get(c, "floor:"+bearer(c)).Uint64()
		if err != nil {
			c.Status(http.StatusUnauthorized)
			return
		}
		if _, err := insert.ExecContext(c, in.ActivityID, member, time.Now().UTC(), in.Nonce); err != nil {
			c.Status(http.StatusServiceUnavailable)
			return
		}
		c.JSON(http.StatusOK, gin.H{"code": "ok"})
	})
	return engine, nil
}

// naive is the arrival as it is usually written with Gin and GORM, by the
// examples of their manuals.
func naive(dsn, redisAddr string) (http.Handler, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	cfg.ParseTime, cfg.Params = true, map[string]string{"charset": "utf8mb4"}
	db, err := gorm.Open(gormmysql.Open(cfg.FormatDSN()), &gorm.Config{})
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	conns, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	conns.SetMaxOpenConns(databasePool)
	conns.SetMaxIdleConns(databasePool)
	client := redis.NewClient(&redis.Options{Addr: redisAddr, PoolSize: redisPool})
	engine := gin.New()
	engine.POST("/v1/check-ins", func(c *gin.Context) {
		var in arrival
		if err := c.ShouldBindJSON(&in); err != nil {
			c.JSON(http.StatusBadRequest, gin.H{"message": "参数错误"})
			return
		}
		value, err := client.Get(c, "naive:"+bearer(c)).Bytes()
		var session naiveSession
		if err != nil || json.Unmarshal(value, &session) != nil {
			c.JSON(http.StatusUnauthorized, gin.H{"message": "请登录"})
			return
		}
		var activity model.Activity
		if err := db.WithContext(c).First(&activity, in.ActivityID).Error; err != nil {
			c.JSON(http.StatusNotFound, gin.H{"message": "活动不存在"})
			return
		}
		var entry model.RosterEntry
		if err := db.WithContext(c).First(&entry, "activity_id = ? AND member_id = ?", activity.ID, session.MemberID).Error; err != nil {
			c.JSON(http.StatusForbidden, gin.H{"message": "不在名单中"})
			return
		}
		now := time.Now()
		row := model.Attendance{ActivityID: activity.ID, MemberID: session.MemberID, BranchID: entry.BranchID, Status: model.Present,
			Provenance: model.ByScan, At: now, Location: model.LocationNotGiven, Once: model.Once{Nonce: in.Nonce}}
		err = db.WithContext(c).Transaction(func(tx *gorm.DB) error { return tx.Table("naive_attendances").Create(&row).Error })
		if err != nil {
			c.JSON(http.StatusInternalServerError, gin.H{"message": "签到失败"})
			return
		}
		if err := client.HIncrBy(c, "naive:counts", strconv.FormatUint(activity.ID, 10), 1).Err(); err != nil {
			c.JSON(http.StatusInternalServerError, gin.H{"message": "签到失败"})
			return
		}
		c.JSON(http.StatusOK, gin.H{"code": "ok", "message": "签到成功", "checked_in_at": now})
	})
	return engine, nil
}

type naiveSession struct {
	MemberID uint64 `json:"member_id"`
	Name     string `json:"name"`
}

// seedOpponents gives them tables like the product's and everybody's session.
func (b *bench) seedOpponents(ctx context.Context) error {
	client := b.stores.RedisClient()
	defer func() { _ = client.Close() }()
	for name := range opponents {
		if !b.wants(name) {
			continue
		}
		if err := b.stores.DB.Exec("CREATE TABLE " + name + "_attendances LIKE attendances").Error; err != nil {
			return fmt.Errorf("make table: %w", err)
		}
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range b.town.Size() {
				var session any = i + 1
				if name == "naive" {
					session, _ = json.Marshal(naiveSession{MemberID: uint64(i + 1), Name: fmt.Sprintf("党员%06d", i)}) // it always can
				}
				p.Set(ctx, name+":"+b.town.Token(i), session, 0)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("seed sessions: %w", err)
		}
	}
	return nil
}

// serve runs an opponent on a free port until ctx ends.
func serve(ctx context.Context, opponent func(dsn, redisAddr string) (http.Handler, error), dsn, redisAddr string) error {
	gin.SetMode(gin.ReleaseMode)
	handler, err := opponent(dsn, redisAddr)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(rig.Ready{Message: rig.Serving, Address: listener.Addr().String()}); err != nil {
		return fmt.Errorf("say where: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
