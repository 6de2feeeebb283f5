package agent_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

//nolint:gochecknoglobals // flags of a test are
var onlyRule = flag.String("rule", "", "play the stories of this rule only")

// stage is how many stories are played at a time, of all tests: most of their time is waiting, but each starts an agent.
var stage = make(chan struct{}, 14) //nolint:gochecknoglobals // what tests share

// slow are the stories that wait for minutes of the clock, which nothing divides. They begin first.
func slow(s story) bool {
	return slices.Contains([]string{"cost-spike", "spend-unusual", "headroom-low"}, s.rule)
}

// playAll plays stories side by side.
func playAll(t *testing.T, play func(w *alertWorld, s story)) {
	t.Helper()
	all := stories()
	slices.SortStableFunc(all, func(a, b story) int {
		switch {
		case slow(a) == slow(b):
			return 0
		case slow(a):
			return -1
		}
		return 1
	})
	var playing sync.WaitGroup
	for _, s := range all {
		name := strings.TrimSpace(s.rule + " " + s.name)
		if *onlyRule != "" && *onlyRule != s.rule {
			continue
		}
		if s.speed == 0 {
			s.speed = 60
		}
		stage <- struct{}{}
		w := newAlertWorld(t, name, s.speed, s.checks, s.extra)
		if s.prepare != nil {
			s.prepare(w)
		}
		playing.Go(func() {
			defer func() { <-stage }()
			play(w, s)
		})
	}
	playing.Wait()
}

// TestEveryBuiltinRuleFiresAndResolves: the real agent, and a webhook that is told of each once.
func TestEveryBuiltinRuleFiresAndResolves(t *testing.T) {
	t.Parallel()
	playAll(t, func(w *alertWorld, s story) {
		reload, stop, err := w.start()
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
			return
		}
		defer stop()
		if !w.wellFirst(s) || !w.fires(s, reload) {
			return
		}
		w.mend(s, reload)
		if w.until("the sink hears of the end", func() bool { return slices.Contains(w.sink.of(s.rule), "resolved") }) {
			w.onceEach(s)
		}
	})
}

// TestEveryEndIsToldWhereTheNotifierWasDownOverARestart: the webhook is down when the alert begins, the agent is started
// again, the world mends, and then the webhook is back.
func TestEveryEndIsToldWhereTheNotifierWasDownOverARestart(t *testing.T) {
	t.Parallel()
	playAll(t, func(w *alertWorld, s story) {
		w.loses = s.loses
		reload, stop, err := w.start()
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
			return
		}
		if !w.wellFirst(s) {
			stop()
			return
		}
		w.sink.setDown(!s.loses)
		s.breaks(w, reload)
		fired := w.until("it fires", func() bool {
			return w.state(s.rule).Open() && (!s.loses || slices.Contains(w.sink.of(s.rule), "opened"))
		})
		w.sink.setDown(true)
		stop()
		if !fired {
			return
		}
		if s.heals {
			w.mend(s, make(chan os.Signal, 1))
		}
		reload, stop, err = w.start()
		if err != nil {
			t.Errorf("%s: after the restart: %v", w.name, err)
			return
		}
		defer stop()
		if !s.heals {
			w.mend(s, reload)
		}
		if !w.until("it resolves", func() bool { return w.state(s.rule) == checks.AlertResolved }) {
			return
		}
		w.sink.setDown(false)
		if w.until("the sink hears of the end", func() bool { return slices.Contains(w.sink.of(s.rule), "resolved") }) {
			w.onceEach(s)
		}
	})
}

// wellFirst waits for a first look at a world that is well.
func (w *alertWorld) wellFirst(s story) bool {
	return w.until("a first result", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.reports > 1
	})
}

func (w *alertWorld) fires(s story, reload chan<- os.Signal) bool {
	if state := w.state(s.rule); state.Open() {
		w.t.Errorf("%s: it fires in a world that is well: %v", w.name, w.sink.brief())
		return false
	}
	s.breaks(w, reload)
	return w.until("the sink hears of it, as severe as it is", func() bool {
		return slices.Contains(w.sink.of(s.rule), "opened") && w.last(s.rule).Severity == s.severity
	}) && w.says(s)
}

func (w *alertWorld) says(s story) bool {
	a := w.last(s.rule)
	if a.Summary == "" || a.Fingerprint == "" || !strings.Contains(a.Diagnosis+a.Summary, s.says) {
		w.t.Errorf("%s: the alert says %q, %q; want %q in it", w.name, a.Summary, a.Diagnosis, s.says)
		return false
	}
	return true
}

func (w *alertWorld) mend(s story, reload chan<- os.Signal) {
	if !s.passes {
		s.mends(w, reload)
	}
}

// onceEach wants what the sink was told of each alert to be a beginning and an end, in turn.
func (w *alertWorld) onceEach(s story) {
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	open := map[string]bool{}
	for _, a := range w.sink.got {
		switch {
		case a.kind == "opened" && open[a.Fingerprint], a.kind == "resolved" && !open[a.Fingerprint]:
			w.t.Errorf("%s: the sink was told %s of %s out of turn", w.name, a.kind, a.Labels["alertname"])
		case a.kind == "opened", a.kind == "resolved":
			open[a.Fingerprint] = a.kind == "opened"
		}
	}
}
