// Package watch samples a rollout for a while and has internal/gate judge it. It makes no run itself and writes nothing: who
// asks lends it both.
package watch

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/gate"
)

// Run is a check that every round runs.
type Run struct {
	Check, Kind string
	Role        gate.Role
	For         string // the watched check that it is the baseline of
}

// Options is what Watch needs.
type Options struct {
	For, Every   time.Duration // For is zero for a single round
	Watched      []gate.Watched
	Runs         []Run         // of each round, all at the same time
	Before       []gate.Sample // what is known of the time before
	TrafficAsked []string
	Limits       gate.Limits
	// Do makes one run. It is called concurrently. The error is for a run that could not be made.
	Do func(ctx context.Context, check string) (*checks.Report, error)
	// Values are the values of a traffic sample.
	Values func(*checks.Report) map[string]float64
	// Alerts are those that are open in the running agent; nil where none runs.
	Alerts func(ctx context.Context) ([]checks.Alert, error)
	// Tell is told each sample, in the order of Runs, when its round is over.
	Tell func(gate.Sample)
}

// Rounds is how many rounds a plan has: one at the beginning, and one after each interval up to the end.
func Rounds(length, every time.Duration) int {
	if length <= 0 || every <= 0 {
		return 1
	}
	return int(length/every) + 1
}

// Result is what became of it.
type Result struct {
	gate.Verdict

	Evidence gate.Evidence
	Rounds   int    // that were made
	Ended    string // why before its time; "" where it was not
}

// watcher is one call of Watch.
type watcher struct {
	o      Options
	e      gate.Evidence
	began  time.Time
	blind  bool                  // nobody said which alerts were open before
	old    map[string]bool       // fingerprints of alerts that were open before
	open   map[string]gate.Alert // by fingerprint: those that were seen
	rounds int
}

// Watch makes rounds until the time is over, the failure is clear, or ctx ends: then there is not enough data, and what the
// unfinished round brought is left out.
func Watch(ctx context.Context, o Options) Result {
	w := &watcher{o: o, began: time.Now(), old: map[string]bool{}, open: map[string]gate.Alert{}}
	w.e = gate.Evidence{
		Watched: o.Watched, Samples: slices.Clone(o.Before), Rounds: Rounds(o.For, o.Every), TrafficAsked: o.TrafficAsked, AlertsAsked: o.Alerts != nil,
	}
	w.alertsBefore(ctx)
	ended := w.loop(ctx)
	if ctx.Err() != nil && ended == "" {
		w.e.Interrupted, w.e.InterruptedBy, ended = true, "interrupted before the end", "interrupted"
	}
	return Result{Verdict: gate.Judge(w.e, o.Limits), Evidence: w.e, Rounds: w.rounds, Ended: ended}
}

// loop makes the rounds on a fixed grid. A round that outlives its slot costs the slots that it covers.
func (w *watcher) loop(ctx context.Context) (ended string) {
	start := time.Now()
	for slot := 0; ; {
		if !w.round(ctx, slot+1) {
			return ""
		}
		w.rounds++
		if why := gate.Abort(w.e, w.o.Limits); why != "" {
			return why
		}
		if w.o.For <= 0 {
			return ""
		}
		slot = max(slot+1, int((time.Since(start)+w.o.Every-1)/w.o.Every))
		next := time.Duration(slot) * w.o.Every
		if next > w.o.For {
			return ""
		}
		if !pause(ctx, time.Until(start.Add(next))) {
			return ""
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// round makes the runs of one round; false where ctx ended meanwhile.
func (w *watcher) round(ctx context.Context, round int) bool {
	found := make([]gate.Sample, len(w.o.Runs))
	var running sync.WaitGroup
	for i, run := range w.o.Runs {
		running.Go(func() { found[i] = w.sample(ctx, run, round) })
	}
	running.Wait()
	w.alertsNow(ctx)
	if ctx.Err() != nil {
		return false
	}
	for _, s := range found {
		w.e.Samples = append(w.e.Samples, s)
		w.o.Tell(s)
	}
	return true
}

func (w *watcher) sample(ctx context.Context, run Run, round int) gate.Sample {
	report, err := w.o.Do(ctx, run.Check)
	if err != nil {
		return gate.Sample{
			Round: round, Role: run.Role, Check: run.Check, For: run.For, Kind: run.Kind, At: time.Now().UTC(), Status: checks.Error,
			Cause: checks.CauseInternal, Blame: checks.BlameOurs, Summary: err.Error(),
		}
	}
	s := gate.Of(report, run.Role, round)
	s.For = run.For
	if run.Role == gate.Traffic {
		s.Values = w.o.Values(report)
	}
	return s
}

func (w *watcher) alertsBefore(ctx context.Context) {
	if w.o.Alerts == nil {
		return
	}
	all, err := w.o.Alerts(ctx)
	w.e.AlertsKnown, w.blind = err == nil, err != nil
	for i := range all {
		w.old[all[i].Fingerprint] = all[i].State == checks.AlertFiring
	}
	w.note(all)
}

func (w *watcher) alertsNow(ctx context.Context) {
	if w.o.Alerts == nil {
		return
	}
	all, err := w.o.Alerts(ctx)
	w.e.AlertsKnown = err == nil
	w.note(all)
}

// note keeps what tells people to look at once: one that is resolved meanwhile has fired all the same.
func (w *watcher) note(all []checks.Alert) {
	for i := range all {
		a := &all[i]
		urgent := a.Severity == checks.P1 || a.Severity == checks.P2
		if _, drill := a.Labels["drill"]; !urgent || drill || a.State != checks.AlertFiring || a.Muted != "" {
			continue
		}
		older := w.old[a.Fingerprint] || w.blind && a.Since.Before(w.began)
		w.open[a.Fingerprint] = gate.Alert{
			Rule: a.Rule, Fingerprint: a.Fingerprint, Severity: a.Severity, Since: a.Since.UTC(), Summary: a.Summary, New: !older,
		}
	}
	w.e.Alerts = nil
	for _, fingerprint := range slices.Sorted(maps.Keys(w.open)) {
		w.e.Alerts = append(w.e.Alerts, w.open[fingerprint])
	}
}
