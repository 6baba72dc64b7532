package api

import (
	"log/slog"
	"net/http"
	"time"
)

// How long a peer may take, as NewServer has it, and what an upload of a file
// may take instead.
const (
	headersPatience = 5 * time.Second
	bodyPatience    = 10 * time.Second
	answerPatience  = 15 * time.Second
	uploadPatience  = 30 * time.Second
	idlePatience    = 60 * time.Second
	maxHeaderBytes  = 16 << 10
)

// NewServer serves a handler with the patience of this house: whoever sends or
// reads too slowly is cut off and holds up nobody else.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: headersPatience, ReadTimeout: bodyPatience, WriteTimeout: answerPatience,
		IdleTimeout: idlePatience, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
}
