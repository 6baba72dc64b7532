package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// history is everything that happened, in order.
type history struct {
	start time.Time

	mu    sync.Mutex
	lines []any
	tries []attempt
}

// attempt is one request for a check-in and what came of it.
type attempt struct {
	AtMS    int64  `json:"at_ms"`
	TookMS  int64  `json:"took_ms"`
	Person  int    `json:"person"`
	Nonce   string `json:"nonce"`
	Replica int    `json:"replica"`
	Status  int    `json:"status"` // 0: no answer
	Code    string `json:"code,omitempty"`
	Body    string `json:"body,omitempty"` // of an answer with 200
	Error   string `json:"error,omitempty"`
}

func (h *history) attempt(a attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines, h.tries = append(h.lines, a), append(h.tries, a)
}

func (h *history) event(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, map[string]any{"at_ms": time.Since(h.start).Milliseconds(), "event": fmt.Sprintf(format, args...)})
}

// attempts are those made since the mark, and the new mark.
func (h *history) attempts(since int) (tries []attempt, mark int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tries[since:len(h.tries):len(h.tries)], len(h.tries)
}

func (h *history) write(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	out := bufio.NewWriter(file)
	lines := json.NewEncoder(out)
	for _, line := range h.lines {
		if err := lines.Encode(line); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
	}
	return errors.Join(out.Flush(), file.Close())
}
