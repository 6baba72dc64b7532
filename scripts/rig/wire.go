package rig

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Wire is one keep-alive connection to a server. It is as cheap as a client
// can be, because it shares the machine with what it measures: a request is
// bytes made beforehand, an answer is read into one buffer.
type Wire struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	body    []byte
}

// NewWire is a wire to the address that dials when it is first used, and
// again after a failure.
func NewWire(address string) *Wire { return &Wire{address: address} }

// Close hangs up.
func (w *Wire) Close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// Do sends a request and returns the status and the body of the answer, which
// is good until the next call.
func (w *Wire) Do(request []byte) (status int, body []byte, err error) {
	if w.conn == nil {
		if w.conn, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", w.address); err != nil {
			w.conn = nil
			return 0, nil, fmt.Errorf("dial: %w", err)
		}
		w.in = bufio.NewReaderSize(w.conn, 16<<10)
	}
	status, close, err := w.exchange(request)
	if err != nil || close {
		w.Close()
	}
	return status, w.body, err
}

func (w *Wire) exchange(request []byte) (status int, close bool, err error) {
	if err := w.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, true, fmt.Errorf("send: %w", err)
	}
	if _, err := w.conn.Write(request); err != nil {
		return 0, true, fmt.Errorf("send: %w", err)
	}
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return 0, true, fmt.Errorf("receive: %w", err)
	}
	if len(line) < 12 {
		return 0, true, fmt.Errorf("receive: %q is no status line", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, true, fmt.Errorf("receive: %q is no status line", line)
	}
	length, chunked := 0, false
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return 0, true, fmt.Errorf("receive: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		switch name, value, _ := bytes.Cut(line, []byte(": ")); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, true, fmt.Errorf("receive: %q", line)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Connection")):
			close = bytes.EqualFold(value, []byte("close"))
		}
	}
	w.body = w.body[:0]
	if !chunked {
		return status, close, w.read(length)
	}
	for {
		line, err := w.in.ReadSlice('\n')
		if err != nil {
			return 0, true, fmt.Errorf("receive: %w", err)
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return 0, true, fmt.Errorf("receive: %q is no chunk", line)
		}
		if err := w.read(int(size)); err != nil {
			return 0, true, err
		}
		if _, err := w.in.Discard(2); err != nil {
			return 0, true, fmt.Errorf("receive: %w", err)
		}
		if size == 0 {
			return status, close, nil
		}
	}
}

func (w *Wire) read(length int) error {
	have := len(w.body)
	w.body = append(w.body, make([]byte, length)...)
	if _, err := io.ReadFull(w.in, w.body[have:]); err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	return nil
}

// Request is the bytes of a request by the holder of a token.
func Request(method, path, token string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: rig\r\n", method, path)
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	if method != http.MethodGet {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
