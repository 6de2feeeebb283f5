package drill

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// observerKind is the kind of the exporter by which a drill sees what its agent stores, in the order in which it does.
const observerKind = "windsock-drill"

// observer sees every record of a drill's agent. It is an exporter at the end of the road like any other.
type observer struct {
	mu      sync.Mutex // guards the rest
	reports []*checks.Report
	alerts  []checks.Alert
}

func (o *observer) kind() exporters.Kind {
	return exporters.NewKind(observerKind, "What a drill sees.", struct{}{}, func(struct{}, exporters.Env) (exporters.Exporter, error) { return o, nil })
}

// Export implements exporters.Exporter.
func (o *observer) Export(_ context.Context, batch []checks.Record) (exporters.Outcome, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range batch {
		switch record := &batch[i]; {
		case record.Report != nil:
			o.reports = append(o.reports, record.Report)
		case record.Alert != nil:
			o.alerts = append(o.alerts, *record.Alert)
		}
	}
	return exporters.Outcome{}, nil
}

// Wants implements exporters.Selective: what is stored is seen at once.
func (o *observer) Wants(checks.RecordType) bool { return true }

// last is the newest final report of each check that was begun after a time.
func (o *observer) last(since time.Time) map[string]*checks.Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string]*checks.Report{}
	for _, r := range o.reports {
		if r.Final && r.Status != checks.Skipped && r.At().After(since) {
			all[r.Check] = r
		}
	}
	return all
}

// of are the transitions of a rule since a time.
func (o *observer) of(rule string, since time.Time) []checks.Alert {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []checks.Alert
	for i := range o.alerts {
		if a := &o.alerts[i]; a.Rule == rule && !a.At.Before(since) {
			all = append(all, *a)
		}
	}
	return all
}

// fired are the rules that fired since a time, sorted.
func (o *observer) fired(since time.Time) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for i := range o.alerts {
		if a := &o.alerts[i]; a.State.Open() && !a.At.Before(since) {
			all = append(all, a.Rule)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// open are the rules whose alerts are open now, sorted.
func (o *observer) open() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	states := map[string]checks.Alert{}
	for i := range o.alerts {
		states[o.alerts[i].Fingerprint] = o.alerts[i]
	}
	var all []string
	for _, a := range states {
		if a.State.Open() {
			all = append(all, a.Rule)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// saw are the verdicts on the checks since a time, as "chat-small failed (dns)", for those who ask why nothing fired.
func (o *observer) saw(since time.Time) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, r := range o.reports {
		if r.Status == checks.OK || !r.At().After(since) {
			continue
		}
		text := r.Check + " " + r.Status.String()
		if r.Cause != checks.CauseNone {
			text += " (" + string(r.Cause) + ")"
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return all
}
