package drill

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// Scenario is one drill: what goes wrong, and what must follow. Times are as on a real clock.
type Scenario struct {
	Name   string        `yaml:"name"`
	What   string        `yaml:"what"`           // one line
	Faults []Fault       `yaml:"faults"`         // all at once
	Hold   time.Duration `yaml:"hold,omitempty"` // how long the fault stays at least; it stays until what must follow has, or is late
	Expect []Expectation `yaml:"expect"`         // what must follow; those that the configuration has no check for are left out
	// ResolveWithin bounds the time from the end of the fault to the end of every alert that was expected.
	ResolveWithin time.Duration `yaml:"resolve_within,omitempty"`

	File string `yaml:"-"` // "": it is one of the agent's own
}

// Fault is one thing that goes wrong. Exactly one key is given.
type Fault struct {
	API        *simulator.Fault   `yaml:"api,omitempty"`        // what the provider's API does; key: primary and key: fallback are the drill's keys
	UsedModel  string             `yaml:"used_model,omitempty"` // retired or moved: every model that the checks use, every alias of those
	DNS        *Unresolved        `yaml:"dns,omitempty"`        // names do not resolve
	Connect    *Unreachable       `yaml:"connect,omitempty"`    // hosts cannot be connected to
	TLS        *Distrusted        `yaml:"tls,omitempty"`        // certificates are not good
	App        *SickApp           `yaml:"app,omitempty"`        // what the application answers
	Prometheus map[string]float64 `yaml:"prometheus,omitempty"` // what the checklist's questions are answered, by their names: {cost_hour: 25}
	Exporter   *DeadExporter      `yaml:"exporter,omitempty"`   // what the other side of exporters does
}

// Hosts that a fault may name beside names of hosts.
const (
	HostProvider  = "provider"  // every provider of the configuration
	HostReference = "reference" // the reference hosts of egress checks
	HostAll       = "all"       // every host that checks talk to
)

// Unresolved is names that the DNS has no good answer for.
type Unresolved struct {
	Hosts  []string `yaml:"hosts"`
	Answer string   `yaml:"answer,omitempty"` // nxdomain (the default), servfail, timeout
}

// Unreachable is hosts that cannot be connected to.
type Unreachable struct {
	Hosts []string `yaml:"hosts"`
	How   string   `yaml:"how,omitempty"` // refused (the default), timeout, unreachable
}

// Distrusted is hosts with a certificate that is not good.
type Distrusted struct {
	Hosts []string `yaml:"hosts"`
	How   string   `yaml:"how,omitempty"` // expired (the default), wrong_host, unknown_ca
}

// SickApp is an application that is not well.
type SickApp struct {
	Health string `yaml:"health,omitempty"` // healthy, degraded, unhealthy: the word on its health route
	Status int    `yaml:"status,omitempty"` // of both routes
	Refuse bool   `yaml:"refuse,omitempty"` // connections are refused
}

// Exporters that a fault may name beside names of exporters.
const (
	ExporterBackend  = "backend"  // the first that sends metrics and records
	ExporterNotifier = "notifier" // the first that tells people
)

// DeadExporter is the other side of an exporter that takes nothing.
type DeadExporter struct {
	Which string `yaml:"which"`              // backend, notifier, or the name of an exporter
	How   string `yaml:"how,omitempty"`      // refuse (the default: nobody listens), deny (401), fail (500)
	Ever  bool   `yaml:"for_ever,omitempty"` // it does not end with the other faults
}

// Expectation is one alert that must follow.
type Expectation struct {
	Rule string `yaml:"rule"`
	// Severity is what it may be at its worst, any of them. Absent: whatever the rule says.
	Severity []checks.Severity `yaml:"severity,omitempty"`
	Blame    []checks.Blame    `yaml:"blame,omitempty"`  // any of them; absent: whatever it is
	Within   time.Duration     `yaml:"within,omitempty"` // from the fault to the alert
	// Routes are the exporters by which it must be told. Absent: every exporter whose own match selects it, at least one
	// that tells people where there is any.
	Routes []string `yaml:"routes,omitempty"`
	// Seen is the kinds of check any of which sees the fault, or exporter words (backend, notifier) that must be there.
	// Where the configuration has none of them the expectation is not covered. Absent: it always is.
	Seen []string `yaml:"seen_by,omitempty"`
	Add  string   `yaml:"add,omitempty"` // what to add to the configuration where it is not covered
	// Lasting says that the alert does not end with the fault, because its rule looks further back than a drill lasts.
	Lasting bool `yaml:"lasting,omitempty"`
}
