package mistral

import (
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/internal/outbound"
)

// path adds the steps from the name to the encrypted connection, up to the failure where there is one.
func (x *exchange) path(f *outbound.Failure) {
	t := x.call.Timings
	if x.body != nil {
		t = x.body.Timings()
	}
	stage := ""
	if f != nil {
		stage = f.Stage
	}
	if t.Reused {
		x.step("connect", true, "a connection kept from before, to "+t.RemoteAddr)
	} else {
		x.fresh(t, stage)
	}
	if f == nil {
		return
	}
	name := stage
	if !slices.Contains([]string{"dns", "connect", "proxy", "tls"}, stage) {
		name = "status" // sent, or not even that: no answer
	}
	x.step(name, false, fmt.Sprintf("%s: %s", f.Reason, f.Error()))
}

// fresh adds the steps that were taken before the stage of the failure, "" for none.
func (x *exchange) fresh(t outbound.Timings, stage string) {
	steps := []struct {
		name   string
		took   time.Duration
		detail string
	}{
		{"dns", t.Resolve, "resolved"},
		{"connect", t.Connect, "connected to " + t.RemoteAddr},
		{"proxy", t.Connect, "the proxy opened the way"},
		{"tls", t.TLS, "handshake and certificate good"},
	}
	for _, s := range steps {
		if s.name == stage {
			return
		}
		if s.took <= 0 || (s.name == "proxy" && !t.Proxied) {
			continue
		}
		if s.name == "connect" && t.RemoteAddr == "" {
			s.detail = "connected"
		}
		if s.name != "proxy" {
			s.detail += fmt.Sprintf(" in %s", s.took.Round(time.Microsecond))
		}
		x.step(s.name, true, s.detail)
	}
}
