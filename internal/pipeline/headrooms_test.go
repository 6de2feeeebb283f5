package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/headroom"
	"github.com/windsock-monitor/windsock/internal/pipeline"
)

const here = "https://api.example.org"

// answered is the answer to a call of a model of which so much of a hundred is left in the month.
func answered(model string, remaining int64) *headroom.Answer {
	return &headroom.Answer{Key: "primary", Model: model, Success: true, Limits: []headroom.Limit{
		{Resource: "requests", Window: "month", Limit: 100, Remaining: remaining},
	}}
}

// watched is a provider with rate limits, and eight paid checks: of small, but for the last two, of large and of no model.
type watched struct {
	*shelf
	headrooms *pipeline.Headrooms
	pipeline  *pipeline.Pipeline
	log       strings.Builder
	ran       []string
	during    func(name string) // each run
}

func newWatched(s *shelf, kept pipeline.StateStore) *watched {
	w := &watched{shelf: s, during: func(string) {}}
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	w.headrooms = pipeline.NewHeadrooms(kept, log)
	w.configure(pipeline.HeadroomSettings{BaseURL: here, Key: "primary", PauseBelow: 0.1})
	plan := pipeline.Plan{}
	for i := range 8 {
		name := fmt.Sprintf("check-%d", i)
		one := paid{cost: checks.Dollar, Func: func(context.Context) (checks.Result, error) {
			w.mu.Lock()
			w.ran = append(w.ran, name)
			w.mu.Unlock()
			w.during(name)
			return checks.Pass("fine"), nil
		}}
		job := &pipeline.Job{Name: name, Provider: "mistral", Timeout: 30 * time.Second, Check: using{one, []string{"small"}}}
		switch i {
		case 6:
			job.Check = using{one, []string{"large"}}
		case 7:
			job.Check = one
		}
		plan.Jobs = append(plan.Jobs, job)
	}
	w.pipeline = pipeline.New(plan, pipeline.Options{
		Store: s, Ledger: s, Breakers: pipeline.NewBreakers(s, log), Headroom: w.headrooms, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

func (w *watched) configure(s pipeline.HeadroomSettings) {
	w.headrooms.Configure(context.Background(), map[string]pipeline.HeadroomSettings{"mistral": s})
}

// due runs checks at once and lists those that were let pass.
func (w *watched) due(t *testing.T, names ...string) []string {
	t.Helper()
	w.ran = nil
	var all sync.WaitGroup
	for _, name := range names {
		at := slot()
		at.Name = name
		all.Go(func() { w.pipeline.Run(t.Context(), at) })
	}
	all.Wait()
	slices.Sort(w.ran)
	return w.ran
}

func (w *watched) told(text string) int { return strings.Count(w.log.String(), text) }

func TestPaidChecksPauseByModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(newShelf(), newShelf())
		w.headrooms.Answered("mistral", here, answered("small", 1))
		w.headrooms.Answered("mistral", here, answered("large", 98))
		for range 3 {
			if got := w.due(t, "check-0", "check-6", "check-7"); !slices.Equal(got, []string{"check-6"}) {
				t.Fatalf("%q ran, want the one of the model with 98 %% left alone", got)
			}
			w.headrooms.Answered("mistral", here, answered("large", 98))
		}
		if paused, on := w.told("paid checks pause"), w.told("paid checks go on"); paused != 2 || on != 0 {
			t.Errorf("a pause was told %d times, its end %d times, want 2 (of one model, of all) and 0", paused, on)
		}
		if r := w.last(t); r.Status == checks.Skipped && r.Cause != checks.CauseHeadroom {
			t.Errorf("skipped with %s", r.Cause)
		}
	})
}

// TestAMultitudeSendsOneToLook: the observation is older than an hour, of a month, and many runs are due at once.
func TestAMultitudeSendsOneToLook(t *testing.T) {
	t.Parallel()
	many := []string{"check-0", "check-1", "check-2", "check-3", "check-4", "check-5"}
	for name, tc := range map[string]struct {
		during  func(w *watched)
		limit   checks.PicoUSD
		first   int // that run at once
		then    int // of them, when the first has ended
		goingOn int // how often that is told
	}{
		"the month is as it was":           {during: func(w *watched) { w.headrooms.Answered("mistral", here, answered("small", 1)) }, first: 1},
		"there is a new month":             {during: func(w *watched) { w.headrooms.Answered("mistral", here, answered("small", 99)) }, first: 1, then: 6, goingOn: 1},
		"no answer came":                   {during: func(*watched) {}, first: 1, then: 1},
		"the budget refuses the run later": {during: func(*watched) {}, limit: 1, then: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWatched(newShelf(), newShelf())
				w.headrooms.Answered("mistral", here, answered("small", 1))
				if got := w.due(t, many...); len(got) != 0 {
					t.Fatalf("%q ran with 1 %% left", got)
				}
				time.Sleep(2 * time.Hour)
				w.limit = tc.limit
				w.during = func(string) { time.Sleep(time.Second); tc.during(w) } // the others come meanwhile
				if got := w.due(t, many...); len(got) != tc.first {
					t.Fatalf("%q ran at once, want %d", got, tc.first)
				}
				w.limit = 0
				if got := w.due(t, many...); len(got) != tc.then {
					t.Errorf("then %q ran, want %d", got, tc.then)
				}
				if got := w.told("paid checks go on"); got != tc.goingOn || w.told("paid checks pause") != 1 {
					t.Errorf("that they go on was told %d times, want %d; the log:\n%s", got, tc.goingOn, w.log.String())
				}
			})
		})
	}
}

// TestARefusedRunGivesItsLookBack: a budget that never pays one check's run keeps no other from looking.
func TestARefusedRunGivesItsLookBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(newShelf(), newShelf())
		w.headrooms.Answered("mistral", here, answered("small", 1))
		time.Sleep(2 * time.Hour)
		w.limit = 1
		if got := w.due(t, "check-0"); len(got) != 0 || w.last(t).Cause != checks.CauseBudget {
			t.Fatalf("%q ran, skipped with %s", got, w.last(t).Cause)
		}
		w.limit = 0
		if got := w.due(t, "check-1"); len(got) != 1 {
			t.Errorf("the next check may not look: %s", w.last(t).Summary)
		}
	})
}

func TestLimitsBelongToABaseURLAndAKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := newShelf()
		w := newWatched(newShelf(), kept)
		settings := pipeline.HeadroomSettings{BaseURL: here, PauseBelow: 0.1} // with failover
		w.configure(settings)
		may := func() bool { return len(w.due(t, "check-0")) == 1 }
		w.headrooms.Answered("mistral", here, answered("small", 1))
		w.headrooms.Flush(t.Context())
		w.configure(settings)
		if may() {
			t.Error("a reload without a change forgot the limits")
		}
		fallback := answered("small", 90)
		fallback.Key = "fallback"
		if w.headrooms.Answered("mistral", here, fallback); !may() {
			t.Error("calls go with the fallback key, and pause for the primary key's limit")
		}
		settings.Key = "primary"
		if w.configure(settings); may() {
			t.Error("without failover calls go with the primary key, and do not pause for its limit")
		}
		settings.BaseURL += "/eu"
		if w.configure(settings); !may() {
			t.Error("the limits of another base URL pause")
		}
		if w.headrooms.Answered("mistral", here, answered("small", 1)); !may() {
			t.Error("a late answer of the base URL before pauses")
		}
		if again := newWatched(newShelf(), kept); len(again.due(t, "check-0")) == 1 {
			t.Error("after a restart with the first base URL its limit does not pause")
		}
	})
}

// slow is a state store whose disk answers when it is told to.
type slow struct {
	*shelf
	proceed chan struct{}
	writes  []string
}

func (s *slow) SaveState(ctx context.Context, key string, data []byte) error {
	<-s.proceed
	s.writes = append(s.writes, string(data))
	return s.shelf.SaveState(ctx, key, data)
}

func TestASlowDiskStallsNoRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := &slow{shelf: newShelf(), proceed: make(chan struct{})}
		w := newWatched(newShelf(), disk)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.headrooms.Run(ctx) })
		started := time.Now()
		for remaining := int64(50); remaining > 0; remaining-- {
			w.headrooms.Answered("mistral", here, answered("small", remaining))
			w.due(t, "check-0", "check-6")
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if took := time.Since(started); took != 50*time.Second {
			t.Errorf("the runs took %s longer", took-50*time.Second)
		}
		close(disk.proceed)
		stop()
		running.Wait()
		var last struct {
			Windows []headroom.Window `json:"windows"`
		}
		if err := json.Unmarshal([]byte(disk.writes[len(disk.writes)-1]), &last); err != nil || len(last.Windows) != 1 || last.Windows[0].Remaining != 1 {
			t.Errorf("written last: %+v, %v, want the newest", last, err)
		}
		if len(disk.writes) > 3 {
			t.Errorf("the store was told %d times", len(disk.writes))
		}
	})
}
