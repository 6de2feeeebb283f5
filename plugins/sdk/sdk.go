// Package sdk makes a plugin of Windsock of ordinary checks and exporters:
//
//	func main() {
//		sdk.Serve(sdk.Plugin{Name: "shop", Version: "1.0.0", Checks: []checks.Kind{login.Kind()}})
//	}
//
// The kinds are those of packages checks and exporters, so that one moves between the agent and a plugin unchanged. What a
// plugin cannot have is what lives in the agent: Env.Provider, Network, Ledger, History, Prices, Models, Spawn and Warm are
// nil, an exporter's Handler is not served, and a goroutine that panics outside of a call ends the process, which the agent
// starts again. The package never reads a file and opens no connection but the socket to the agent.
package sdk

import (
	"context"
	"log/slog"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// Plugin is what a plugin is and what it offers.
type Plugin struct {
	Name      string                 // lower-case letters, digits, - and _, at most 64, a letter first: the part of a kind before the slash
	Version   string                 // semantic, as 1.4.0
	Summary   string                 // one line for a person
	Homepage  string                 // an http(s) address, or ""
	Checks    []checks.Kind          // with names of their own among checks and exporters
	Exporters []exporters.Kind       // likewise
	Declare   map[string]Declaration // what the agent must know of a kind before it runs, by the kind's name
	Log       *slog.Logger           // nil: JSON lines on standard error, as the agent reads them, or nowhere from NewServer
}

// Declaration is what the agent must know of a kind before it runs. The zero value is for a check that measures nothing and
// costs nothing, and for an exporter that takes every record.
type Declaration struct {
	Measurements   []Measurement  // every one that a result may hold; the agent refuses others
	MaxCost        checks.PicoUSD // the most that a run of any instance can cost; a check that is checks.Paid says it for its own
	MinInterval    time.Duration  // the agent warns of shorter ones
	DefaultTimeout time.Duration  // where the file gives none

	MaxBatch int                 // most records in one Export; 0: as many as the file says
	Records  []checks.RecordType // the types that the exporter has a use for; none: all. exporters.Selective may narrow them
	Refresh  bool                // the exporter is an exporters.Refresher
}

// Measurement announces a measurement.
type Measurement struct {
	Name        string // lower-case and dotted, as shop.login.duration
	Unit        string // UCUM, as s, By or %
	Description string // one line for a person
}

type traceparentKey struct{}

// Traceparent is the W3C traceparent that the requests of a run should carry; "" where there is none.
func Traceparent(ctx context.Context) string {
	text, _ := ctx.Value(traceparentKey{}).(string)
	return text
}
