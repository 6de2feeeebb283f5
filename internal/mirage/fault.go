package mirage

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Fault is one thing that goes wrong. Exactly one key is given.
type Fault struct {
	API     *API         `json:"api,omitempty"`     // what the provider's API does; key "primary" and "fallback" are those of the drill
	DNS     *Unresolved  `json:"dns,omitempty"`     // names do not resolve
	Connect *Unreachable `json:"connect,omitempty"` // hosts cannot be connected to
	TLS     *Distrusted  `json:"tls,omitempty"`     // certificates are not good
	App     *SickApp     `json:"app,omitempty"`     // what the application answers
}

// Hosts that a fault may name beside names of hosts.
const (
	HostProvider  = "provider"  // what the provider answers at
	HostReference = "reference" // what an egress check compares with: any host but the provider's
	HostAll       = "all"
)

// Unresolved is names that the DNS has no good answer for.
type Unresolved struct {
	Hosts  []string `json:"hosts"`
	Answer string   `json:"answer,omitempty"` // nxdomain (""), servfail, timeout
}

// Unreachable is hosts that cannot be connected to.
type Unreachable struct {
	Hosts []string `json:"hosts"`
	How   string   `json:"how,omitempty"` // refused (""), timeout, unreachable
}

// Distrusted is hosts with a certificate that is not good.
type Distrusted struct {
	Hosts []string `json:"hosts"`
	How   string   `json:"how,omitempty"` // expired (""), wrong_host, unknown_ca
}

// SickApp is an application that is not well.
type SickApp struct {
	Health string `json:"health,omitempty"` // healthy, degraded, unhealthy
	Status int    `json:"status,omitempty"`
	Refuse bool   `json:"refuse,omitempty"` // connections are refused
}

const (
	howRefused     = "refused"
	howTimeout     = "timeout"
	howUnreachable = "unreachable"
	howExpired     = "expired"
	howWrongHost   = "wrong_host"
	howUnknownCA   = "unknown_ca"
)

func (u *Unreachable) how() string { return or(u.How, howRefused) }
func (d *Distrusted) how() string  { return or(d.How, howExpired) }

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// Validate says what is wrong with a fault.
func (f *Fault) Validate() error {
	given := 0
	for _, set := range []bool{f.API != nil, f.DNS != nil, f.Connect != nil, f.TLS != nil, f.App != nil} {
		if set {
			given++
		}
	}
	if given != 1 {
		return errors.New("a fault is one of api, dns, connect, tls, app")
	}
	word := func(name, got string, want ...string) error {
		if got != "" && !slices.Contains(want, got) {
			return fmt.Errorf("%s is %q, want one of %v", name, got, want)
		}
		return nil
	}
	switch {
	case f.API != nil:
		fault := f.API.Fault
		if fault.Key == "primary" || fault.Key == "fallback" {
			fault.Key = "drill"
		}
		return fault.Validate()
	case f.DNS != nil:
		return word("dns.answer", f.DNS.Answer, "nxdomain", "servfail", "timeout")
	case f.Connect != nil:
		return word("connect.how", f.Connect.How, howRefused, howTimeout, howUnreachable)
	case f.TLS != nil:
		return word("tls.how", f.TLS.How, howExpired, howWrongHost, howUnknownCA)
	case f.App.Status != 0 && (f.App.Status < 200 || f.App.Status > 599):
		return fmt.Errorf("app.status is %d, want 200 to 599", f.App.Status)
	}
	return word("app.health", f.App.Health, "healthy", "degraded", "unhealthy")
}

// Everywhere reports whether the fault is of other hosts than the provider's too.
func (f *Fault) Everywhere() bool {
	var hosts []string
	switch {
	case f.DNS != nil:
		hosts = f.DNS.Hosts
	case f.Connect != nil:
		hosts = f.Connect.Hosts
	case f.TLS != nil:
		hosts = f.TLS.Hosts
	}
	return slices.Contains(hosts, HostAll) || slices.Contains(hosts, HostReference)
}

// fault is the first that is as wanted, nil where none is.
func (w *World) fault(wanted func(*Fault) bool) *Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.faults {
		if wanted(&w.faults[i]) {
			return &w.faults[i] // nobody changes a fault
		}
	}
	return nil
}

// named reports whether hosts mean the host.
func (w *World) named(hosts []string, host string) bool {
	provider := w.provider(host)
	return slices.ContainsFunc(hosts, func(name string) bool {
		return name == host || name == HostAll || name == HostProvider && provider || name == HostReference && !provider
	})
}

// application answers as the team's own would: its health, in the shape that the checklist asks for, to a GET, and a short
// answer to anything else.
func (w *World) application(out http.ResponseWriter, r *http.Request) {
	health, status := "healthy", http.StatusOK
	if f := w.fault(func(f *Fault) bool { return f.App != nil }); f != nil {
		if health = or(f.App.Health, health); health == "unhealthy" {
			status = http.StatusServiceUnavailable
		}
		if f.App.Status != 0 {
			status = f.App.Status
		}
	}
	body := map[string]any{"answer": "pong", "content": "pong", "reply": "pong"}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		mistral := map[string]any{"status": health, "provider": "mistral", "model": "mistral-small-latest", "latencyMs": 120}
		if health == "unhealthy" {
			mistral["error"] = "the drill says so"
		}
		body = map[string]any{"status": health, "services": map[string]any{"mistral": mistral}}
	}
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(status)
	_ = json.NewEncoder(out).Encode(body)
}
