package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"gorm.io/driver/mysql"
	"gorm.io/gorm"
)

// The tables that a gin-vue-admin project would have.
type (
	gvaActivity struct {
		gorm.Model
		Title string
	}
	gvaCheckIn struct {
		gorm.Model
		ActivityID uint `gorm:"uniqueIndex:gva_once"`
		MemberID   uint `gorm:"uniqueIndex:gva_once"`
		CheckedAt  time.Time
	}
	gvaOperationRecord struct {
		gorm.Model
		IP           string
		Method       string
		Path         string
		Status       int
		Latency      time.Duration
		Agent        string `gorm:"type:text"`
		ErrorMessage string
		Body         string `gorm:"type:text"`
		Resp         string `gorm:"type:text"`
		UserID       int
	}
	gvaClaims struct {
		ID          uint
		Username    string
		AuthorityID uint
		BufferTime  int64
		jwt.RegisteredClaims
	}
)

const gvaKey = "a key of the benchmark alone, 32 bytes and more"

// ginVueAdmin is the create of a table as that framework makes it: a signed
// token, the rule of the role from memory, the row in a transaction of GORM's,
// and the request with its answer in the table of operations.
func ginVueAdmin(dsn string, t town) (http.Handler, []string, error) {
	db, err := gorm.Open(mysql.Open(dsn+"?charset=utf8mb4&parseTime=True&loc=UTC"), &gorm.Config{DisableForeignKeyConstraintWhenMigrating: true, TranslateError: true})
	if err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}
	conns, err := db.DB()
	if err != nil {
		return nil, nil, fmt.Errorf("open database: %w", err)
	}
	conns.SetMaxOpenConns(100) // the framework's own setting
	conns.SetMaxIdleConns(100)
	if err := db.AutoMigrate(&gvaActivity{}, &gvaCheckIn{}, &gvaOperationRecord{}); err != nil {
		return nil, nil, fmt.Errorf("migrate: %w", err)
	}
	rows := make([]gvaActivity, t.activities)
	for i := range rows {
		rows[i].Title = fmt.Sprintf("第%d次主题党日", i+1)
	}
	if err := db.CreateInBatches(rows, 1000).Error; err != nil {
		return nil, nil, fmt.Errorf("seed: %w", err)
	}
	tokens := make([]string, t.people)
	for i := range tokens {
		claims := gvaClaims{uint(i + 1), fmt.Sprintf("党员%06d", i+1), 888, 86400,
			jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().AddDate(0, 0, 7)), Issuer: "gva"}}
		if tokens[i], err = jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(gvaKey)); err != nil {
			return nil, nil, fmt.Errorf("sign: %w", err)
		}
	}
	enforcer, err := gvaRules()
	if err != nil {
		return nil, nil, err
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(gin.Recovery(), gvaSigned, gvaAllowed(enforcer), gvaRecorded(db))
	engine.POST("/checkIn/createCheckIn", func(c *gin.Context) {
		var row gvaCheckIn
		if err := c.ShouldBindJSON(&row); err != nil {
			gvaFail(c, "参数错误")
			return
		}
		row.MemberID, row.CheckedAt = c.MustGet("claims").(*gvaClaims).ID, time.Now()
		switch err := db.Create(&row).Error; {
		case errors.Is(err, gorm.ErrDuplicatedKey):
			gvaFail(c, "已签到")
		case err != nil:
			c.JSON(http.StatusInternalServerError, gin.H{"code": 7, "msg": "创建失败"}) // seen by the benchmark
		default:
			c.JSON(http.StatusOK, gin.H{"code": 0, "data": gin.H{}, "msg": "创建成功"})
		}
	})
	return engine, tokens, nil
}

func gvaFail(c *gin.Context, why string) { c.JSON(http.StatusConflict, gin.H{"code": 7, "msg": why}) }

func gvaSigned(c *gin.Context) {
	claims := &gvaClaims{}
	_, err := jwt.ParseWithClaims(c.GetHeader("x-token"), claims, func(*jwt.Token) (any, error) { return []byte(gvaKey), nil },
		jwt.WithValidMethods([]string{"HS256"}))
	if err != nil {
		c.AbortWithStatusJSON(http.StatusUnauthorized, gin.H{"code": 7, "msg": "未登录或非法访问"})
		return
	}
	c.Set("claims", claims)
	c.Next()
}

// gvaRules is its model of rules, with as many of them as a fresh one has.
func gvaRules() (*casbin.SyncedCachedEnforcer, error) {
	m, err := model.NewModelFromString(`
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && keyMatch2(r.obj,p.obj) && r.act == p.act`)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	enforcer, err := casbin.NewSyncedCachedEnforcer(m)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	enforcer.SetExpireTime(time.Hour)
	for i := range 100 {
		if _, err := enforcer.AddPolicy("888", fmt.Sprintf("/table%d/create", i), "POST"); err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
	}
	if _, err := enforcer.AddPolicy("888", "/checkIn/createCheckIn", "POST"); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return enforcer, nil
}

func gvaAllowed(enforcer *casbin.SyncedCachedEnforcer) gin.HandlerFunc {
	return func(c *gin.Context) {
		role := strconv.Itoa(int(c.MustGet("claims").(*gvaClaims).AuthorityID))
		if ok, err := enforcer.Enforce(role, c.Request.URL.Path, c.Request.Method); err != nil || !ok {
			c.AbortWithStatusJSON(http.StatusForbidden, gin.H{"code": 7, "msg": "权限不足"})
			return
		}
		c.Next()
	}
}

type gvaAnswer struct {
	gin.ResponseWriter
	body *bytes.Buffer
}

func (a gvaAnswer) Write(b []byte) (int, error) {
	a.body.Write(b)
	return a.ResponseWriter.Write(b)
}

func gvaRecorded(db *gorm.DB) gin.HandlerFunc {
	return func(c *gin.Context) {
		body, err := io.ReadAll(c.Request.Body)
		if err != nil {
			c.AbortWithStatus(http.StatusBadRequest)
			return
		}
		c.Request.Body = io.NopCloser(bytes.NewReader(body))
		answer := gvaAnswer{c.Writer, &bytes.Buffer{}}
		c.Writer = answer
		start := time.Now()
		c.Next()
		record := gvaOperationRecord{IP: c.ClientIP(), Method: c.Request.Method, Path: c.Request.URL.Path, Status: c.Writer.Status(), Latency: time.Since(start),
			Agent: c.Request.UserAgent(), ErrorMessage: strings.TrimSpace(c.Errors.String()), Body: string(body), Resp: answer.body.String(),
			UserID: int(c.MustGet("claims").(*gvaClaims).ID)}
		if err := db.Create(&record).Error; err != nil {
			_ = c.Error(err)
		}
	}
}
