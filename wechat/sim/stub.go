package sim

import (
	"net/http"
	"time"
)

type PushMode string
type PushFormat string

const (
	ModePlain  PushMode   = "plain"
	ModeSafe   PushMode   = "safe"
	FormatJSON PushFormat = "json"
	FormatXML  PushFormat = "xml"
	firstMsgID            = 0
)

type pushes struct{}

func newPushes(*Sim) *pushes    { return &pushes{} }
func (*pushes) wait()           {}
func (*pushes) wake()           {}
func (*pushes) enqueue(e event) {}

type event struct{}

func mediaEvent(Config, string, time.Time, string, verdict) event { return event{} }

type consent struct{}
type Message struct{}
type Scanned struct{}
type picture struct{}

func (picture) draw() (string, []byte)                      { return "", nil }
func (s *Sim) remember(picture, []byte)                     {}
func (s *Sim) subscribeEndpoints(into map[string]*endpoint) {}
func (s *Sim) codeEndpoints(into map[string]*endpoint)      {}
func (s *Sim) controls() *http.ServeMux                     { return http.NewServeMux() }
