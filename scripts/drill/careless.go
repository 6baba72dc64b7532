package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"dangri/scripts/rig"
)

// careless is the name of a server that makes every mistake the drills are
// there to find: it confirms first and writes a moment later, looks before it
// writes instead of having a unique key, and takes a database that is away for
// a session that has ended. A drill that finds nothing wrong with it is blind.
const careless = "careless"

const carelessTable = "careless_attendances"

func serveCareless(ctx context.Context, dsn string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(32)
	db.SetMaxIdleConns(32)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/check-ins", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Code, Nonce string }
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		first, _, _ := strings.Cut(in.Code, ".")
		activity, err := strconv.ParseUint(first, 36, 64)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		hash := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
		var member uint64
		err = db.QueryRowContext(r.Context(), "SELECT account_id FROM sessions WHERE token_hash = ?", base64.RawURLEncoding.EncodeToString(hash[:])).Scan(&member)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var n int
		err = db.QueryRowContext(r.Context(), "SELECT COUNT(*) FROM "+carelessTable+" WHERE activity_id = ? AND member_id = ?", activity, member).Scan(&n)
		if err != nil || n > 0 {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(map[string]string{"code": "already_checked_in"})
			return
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		time.AfterFunc(200*time.Millisecond, func() {
			_, _ = db.Exec("INSERT INTO "+carelessTable+" (activity_id, member_id, branch_id, status, provenance, at, location, guest, reason, nonce, fingerprint) "+ //nolint:noctx // it is careless
				"VALUES (?, ?, 1, 'present', 'scan', ?, 'not_given', 0, '', ?, '')", activity, member, now, in.Nonce)
		})
		_ = json.NewEncoder(w).Encode(map[string]any{"code": "ok", "checked_in_at": now})
	})
	mux.HandleFunc("POST /v1/service-slots/{slot}/sign-ups", seatCarelessly(db))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(rig.Ready{Message: rig.Serving, Address: listener.Addr().String()}); err != nil {
		return fmt.Errorf("say where: %w", err)
	}
	server := &http.Server{Handler: mux} //nolint:gosec // no timeouts: it is careless
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// openCareless opens the stage with the careless server in the product's place.
func (s *stage) openCareless(ctx context.Context, dsn string) error {
	for _, statement := range []string{
		"DROP TABLE IF EXISTS " + carelessTable, "CREATE TABLE " + carelessTable + " LIKE attendances",
		"ALTER TABLE " + carelessTable + " DROP KEY attendances_once, ADD KEY (activity_id, member_id)",
	} {
		if err := s.stores.DB.WithContext(ctx).Exec(statement).Error; err != nil {
			return fmt.Errorf("make table: %w", err)
		}
	}
	program := rig.Program{Path: s.self, Args: []string{careless, dsn}, Dir: s.dir}
	if err := s.open(ctx, program, carelessTable, 3); err != nil {
		return err
	}
	return s.keepCodes(ctx, func() (*rig.Codes, error) { return s.meeting.Unsigned(), nil })
}
