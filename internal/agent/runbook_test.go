package agent_test

import (
	"context"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// quiet is an exporter that takes everything.
type quiet struct{}

func (quiet) Export(context.Context, []checks.Record) (exporters.Outcome, error) {
	return exporters.Outcome{}, nil
}

// TestExportersAreToldWhereTheRunbookIs: runbook.url of the file is what each exporter links to.
func TestExportersAreToldWhereTheRunbookIs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change("{name: scrape, kind: prometheus}", "{name: quiet, kind: quiet}")
	h.change("budget:", "runbook: {url: \"https://wiki.example/runbooks\"}\nbudget:")
	told := make(chan string, 10)
	h.more = []exporters.Kind{exporters.NewKind("quiet", "Takes everything.", struct{}{}, func(_ struct{}, env exporters.Env) (exporters.Exporter, error) {
		if !env.Probing {
			told <- env.Runbooks
		}
		return quiet{}, nil
	})}
	_, _, stop := h.start()
	defer stop()
	if got, want := <-told, "https://wiki.example/runbooks/"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
