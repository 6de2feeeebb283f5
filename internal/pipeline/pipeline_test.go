package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/schedule"
	"github.com/windsock-monitor/windsock/internal/store"
)

// shelf is a store and a ledger in memory.
type shelf struct {
	mu       sync.Mutex
	reports  []*checks.Report
	state    map[string][]byte
	reserved map[string]checks.PicoUSD
	booked   map[string]*checks.Usage
	claims   []store.Claim
	limit    checks.PicoUSD // 0: none
}

func newShelf() *shelf {
	return &shelf{state: map[string][]byte{}, reserved: map[string]checks.PicoUSD{}, booked: map[string]*checks.Usage{}}
}

func (s *shelf) Append(_ context.Context, record checks.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, record.Report)
	return nil
}

func (s *shelf) Reserve(_ context.Context, c store.Claim, _ []store.Limit) (store.Denial, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit > 0 && c.Amount > s.limit {
		return store.Denial{Reason: "the hour's budget is spent"}, false, nil
	}
	s.reserved[c.ID] = c.Amount
	s.claims = append(s.claims, c)
	return store.Denial{}, true, nil
}

func (s *shelf) Book(_ context.Context, id string, u *checks.Usage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.booked[id] = u
	return nil
}

func (s *shelf) LoadState(_ context.Context, key string) ([]byte, error) { return s.state[key], nil }

func (s *shelf) SaveState(_ context.Context, key string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state[key] = data
	return nil
}

func (s *shelf) last(t *testing.T) *checks.Report {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reports) == 0 {
		t.Fatal("no report was stored")
	}
	return s.reports[len(s.reports)-1]
}

// paid is a check that costs money.
type paid struct {
	checks.Func
	cost checks.PicoUSD
}

func (p paid) MaxCost(time.Time) (checks.PicoUSD, bool) { return p.cost, true }

func free(r checks.Result, err error) checks.Check {
	return checks.Func(func(context.Context) (checks.Result, error) { return r, err })
}

func newPipeline(s *shelf, job *pipeline.Job, listers map[string]pipeline.Lister) *pipeline.Pipeline {
	job.Name, job.Kind = "probe", "test"
	if job.Timeout == 0 {
		job.Timeout = 10 * time.Second
	}
	log := slog.New(slog.DiscardHandler)
	breakers := pipeline.NewBreakers(s, log)
	breakers.Configure(context.Background(), map[string]pipeline.BreakerSettings{"mistral": {Failures: 5, Reset: time.Minute}})
	return pipeline.New(pipeline.Plan{Jobs: []*pipeline.Job{job}, Location: "here", Listers: listers}, pipeline.Options{
		Store: s, Ledger: s, Breakers: breakers, Log: log, Counted: func(name string) bool { return name == "counted" },
	})
}

func slot() schedule.Slot {
	return schedule.Slot{Name: "probe", ScheduledAt: time.Now(), Trigger: checks.TriggerSchedule}
}

func TestWhatEveryRunHasInCommon(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 400)
	tests := map[string]struct {
		check  checks.Check
		job    pipeline.Job
		status checks.Status
		cause  checks.Cause
		blame  checks.Blame
	}{
		"well":                          {check: free(checks.Pass("fine"), nil), status: checks.OK},
		"a failure":                     {check: free(checks.Fail(checks.CauseServer, "500"), nil), status: checks.Failed, cause: checks.CauseServer, blame: checks.BlameProvider},
		"a returned error is our fault": {check: free(checks.Result{}, errors.New("no descriptors")), status: checks.Error, cause: checks.CauseInternal, blame: checks.BlameOurs},
		"a missing secret is Error, never Failed": {
			check: free(checks.Fail(checks.CauseConfig, "no key"), nil), status: checks.Error, cause: checks.CauseConfig, blame: checks.BlameOurs,
		},
		"a panic is our fault": {
			check:  checks.Func(func(context.Context) (checks.Result, error) { panic("boom") }),
			status: checks.Error, cause: checks.CauseInternal, blame: checks.BlameOurs,
		},
		"slow is degraded": {
			check: checks.Func(func(context.Context) (checks.Result, error) {
				time.Sleep(6 * time.Second)
				return checks.Pass(""), nil
			}),
			job: pipeline.Job{DegradedAbove: 5 * time.Second}, status: checks.Degraded, cause: checks.CauseSlow, blame: checks.BlameProvider,
		},
		"a failure without a cause is the check's own fault": {check: free(checks.Result{Status: checks.Failed}, nil), status: checks.Error, cause: checks.CauseInternal, blame: checks.BlameOurs},
		"the zero result is not green":                       {check: free(checks.Result{}, nil), status: checks.Error, cause: checks.CauseInternal, blame: checks.BlameOurs},
		"well, with a fault of our own beside it, is a judged target": {
			check: free(checks.Degrade(checks.CauseInternal, "the memory is damaged"), nil), status: checks.Degraded, cause: checks.CauseInternal, blame: checks.BlameOurs,
		},
		"a check that knows better whose fault it is": {
			check:  free(checks.Result{Status: checks.Failed, Cause: checks.CauseDNS, Blame: checks.BlameLocal}, nil),
			status: checks.Failed, cause: checks.CauseDNS, blame: checks.BlameLocal,
		},
		"text and numbers are cleaned": {
			check: free(checks.Result{
				Status: checks.Failed, Cause: checks.CauseServer, Summary: "a\nb\x1b[31m" + long + "\xff",
				Measurements: []checks.Measurement{{Name: "x", Value: math.NaN()}, {Name: "y", Value: math.Inf(1)}, {Name: "z", Value: 1}},
			}, nil),
			status: checks.Failed, cause: checks.CauseServer, blame: checks.BlameProvider,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				tt.job.Check = tt.check
				p := newPipeline(s, &tt.job, nil)
				p.Run(t.Context(), slot())
				got := s.last(t)
				if got.Status != tt.status || got.Cause != tt.cause || got.Blame != tt.blame {
					t.Errorf("got %s %q %q, want %s %q %q", got.Status, got.Cause, got.Blame, tt.status, tt.cause, tt.blame)
				}
				if !got.Final || got.Slots != 1 || got.ID == "" || got.Location != "here" {
					t.Errorf("badly stamped: %+v", got)
				}
				if len(got.Summary) > 300 || strings.ContainsAny(got.Summary, "\n\x1b") || !strings.Contains("z", onlyName(got)) {
					t.Errorf("not clean: %q %v", got.Summary, got.Measurements)
				}
			})
		})
	}
}

func onlyName(r *checks.Report) string {
	if len(r.Measurements) == 0 {
		return ""
	}
	return r.Measurements[0].Name
}

// TestARunThatIgnoresItsDeadline is abandoned, said, and never doubled.
func TestARunThatIgnoresItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, release := newShelf(), make(chan struct{})
		p := newPipeline(s, &pipeline.Job{Check: checks.Func(func(context.Context) (checks.Result, error) {
			<-release
			return checks.Pass(""), nil
		})}, nil)
		begun := time.Now()
		p.Run(t.Context(), slot())
		if took := time.Since(begun); took > 13*time.Second {
			t.Errorf("the slot was held for %s, the timeout is 10s", took)
		}
		if got := s.last(t); got.Status != checks.Error || got.Cause != checks.CauseInternal {
			t.Errorf("got %s %s, want error internal", got.Status, got.Cause)
		}
		if p.Abandoned() != 1 {
			t.Errorf("got %d abandoned, want 1", p.Abandoned())
		}
		p.Run(t.Context(), slot())
		if got := s.last(t); got.Status != checks.Skipped || got.Cause != checks.CauseOverlap {
			t.Errorf("got %s %s, want skipped overlap", got.Status, got.Cause)
		}
		close(release)
		synctest.Wait()
		p.Run(t.Context(), slot())
		if got := s.last(t); got.Status != checks.OK || p.Abandoned() != 0 {
			t.Errorf("after it came back: got %s with %d abandoned, want ok and none", got.Status, p.Abandoned())
		}
	})
}

func TestMoney(t *testing.T) {
	t.Parallel()
	usage := &checks.Usage{Cost: 7}
	tests := map[string]struct {
		result checks.Result
		limit  checks.PicoUSD
		status checks.Status
		cause  checks.Cause
		booked bool
	}{
		"reserved, run, booked":              {result: checks.Result{Status: checks.OK, Usage: usage}, status: checks.OK, booked: true},
		"a failure that was not billed":      {result: checks.Fail(checks.CauseConnect, "refused"), status: checks.Failed, cause: checks.CauseConnect, booked: true},
		"beyond the budget it does not run":  {result: checks.Pass(""), limit: 99, status: checks.Skipped, cause: checks.CauseBudget},
		"nobody knows: the worst case stays": {result: checks.Result{Status: checks.Failed, Cause: checks.CauseInternal}, status: checks.Error, cause: checks.CauseInternal},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf()
			s.limit = tt.limit
			p := newPipeline(s, &pipeline.Job{Check: paid{func(context.Context) (checks.Result, error) { return tt.result, nil }, 100}}, nil)
			p.Run(t.Context(), slot())
			got := s.last(t)
			if got.Status != tt.status || got.Cause != tt.cause {
				t.Errorf("got %s %s, want %s %s", got.Status, got.Cause, tt.status, tt.cause)
			}
			u, booked := s.booked[got.ID]
			if booked != tt.booked {
				t.Errorf("booked is %v, want %v", booked, tt.booked)
			}
			if booked && tt.result.Usage != nil && u.Cost != 7 {
				t.Errorf("booked %v, want 7", u.Cost)
			}
			if ran := tt.status != checks.Skipped; ran != (s.reserved[got.ID] == 100) {
				t.Errorf("reserved %v", s.reserved)
			}
		})
	}
}

// script is a check whose results come one after the other; the last one stays.
func script(results ...checks.Result) checks.Func {
	n := 0
	return func(context.Context) (checks.Result, error) {
		r := results[min(n, len(results)-1)]
		n++
		return r, nil
	}
}

// using is a paid check that says which models it calls.
type using struct {
	paid
	models []string
}

func (u using) ModelsUsed() []string { return u.models }

func TestAReservationNamesTheModelThatIsKnownBeforeTheCall(t *testing.T) {
	t.Parallel()
	for want, models := range map[string][]string{"small": {"small"}, "": {"small", "large"}} {
		s := newShelf()
		check := using{paid{func(context.Context) (checks.Result, error) { return checks.Pass("fine"), nil }, 5}, models}
		newPipeline(s, &pipeline.Job{Check: check}, nil).Run(t.Context(), slot())
		if len(s.claims) != 1 || s.claims[0].Model != want || s.claims[0].Check != "probe" {
			t.Errorf("%v: reserved %+v, want one for model %q", models, s.claims, want)
		}
	}
}

func TestTheBreakerOpensWaitsForTheListAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		down := checks.Fail(checks.CauseServer, "500")
		listed, listings := checks.CauseServer, 0
		job := &pipeline.Job{Provider: "mistral", Check: paid{script(down, down, down, down, down, checks.Pass("")), 1}}
		p := newPipeline(s, job, map[string]pipeline.Lister{"mistral": func(context.Context) (checks.Cause, string) {
			listings++
			return listed, "list"
		}})
		run := func(want checks.Status, cause checks.Cause) {
			t.Helper()
			p.Run(t.Context(), slot())
			if got := s.last(t); got.Status != want || got.Cause != cause {
				t.Fatalf("got %s %s, want %s %s", got.Status, got.Cause, want, cause)
			}
		}
		for range 5 {
			run(checks.Failed, checks.CauseServer)
		}
		run(checks.Skipped, checks.CauseBreakerOpen)
		if listings != 0 {
			t.Errorf("listed %d times before the reset time, want none", listings)
		}
		time.Sleep(61 * time.Second)
		run(checks.Skipped, checks.CauseBreakerOpen) // the list fails
		listed = checks.CauseNone
		time.Sleep(61 * time.Second)
		run(checks.OK, checks.CauseNone)
		run(checks.OK, checks.CauseNone)
		if listings == 0 {
			t.Error("the list was never asked for")
		}
	})
}

func TestConfirmation(t *testing.T) {
	t.Parallel()
	down := checks.Fail(checks.CauseServer, "500")
	down.Measurements = []checks.Measurement{{Name: "counted", Value: 1}, {Name: "gauge", Value: 7}}
	tests := map[string]struct {
		results []checks.Result
		want    checks.Status
		cause   checks.Cause
		records int
	}{
		"the second run is well":            {[]checks.Result{down, checks.Pass("")}, checks.OK, "", 2},
		"the second run fails too":          {[]checks.Result{down, checks.Fail(checks.CauseTimeout, "")}, checks.Failed, checks.CauseTimeout, 2},
		"the second run cannot tell":        {[]checks.Result{down, checks.Undetermined(checks.CauseInternal, "")}, checks.Failed, checks.CauseServer, 3},
		"the second run is our own failure": {[]checks.Result{down, {Status: checks.Error, Cause: checks.CauseInternal}}, checks.Failed, checks.CauseServer, 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShelf()
				p := newPipeline(s, &pipeline.Job{Confirm: 10 * time.Second, Check: script(tt.results...)}, nil)
				p.Run(t.Context(), slot())
				if len(s.reports) != tt.records {
					t.Fatalf("got %d records, want %d", len(s.reports), tt.records)
				}
				first, final := s.reports[0], s.reports[tt.records-1]
				if tt.records == 3 && s.reports[1].Final {
					t.Error("the second run, which could not tell, is final")
				}
				if first.Final || first.Slots != 0 || first.Status != checks.Failed {
					t.Errorf("the first is %s, final %v, slots %d; want a failure that is not final and stands for no slot", first.Status, first.Final, first.Slots)
				}
				if !final.Final || final.Slots != 1 || final.Status != tt.want || final.Cause != tt.cause {
					t.Errorf("the last is %s %s, final %v, slots %d; want %s %s, final, one slot", final.Status, final.Cause, final.Final, final.Slots, tt.want, tt.cause)
				}
				counted := 0
				for _, r := range s.reports {
					for _, m := range r.Measurements {
						if m.Name == "counted" {
							counted++
						}
					}
				}
				if counted != 1 || tt.records == 3 && len(final.Measurements) != 1 {
					t.Errorf("what adds up is told %d times, want once; the last tells %v", counted, final.Measurements)
				}
				if final.ID == first.ID || final.Attempt != 2 {
					t.Errorf("the last has id %s and attempt %d", final.ID, final.Attempt)
				}
			})
		})
	}
}

// TestShutdownEndsRunsInFlight: the record says that the agent stopped, and the confirmation of a failure is cut short
// without losing the failure.
func TestShutdownEndsRunsInFlight(t *testing.T) {
	t.Parallel()
	t.Run("a run", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			p := newPipeline(s, &pipeline.Job{Check: checks.Func(func(ctx context.Context) (checks.Result, error) {
				<-ctx.Done()
				return checks.Fail(checks.CauseTimeout, "deadline"), nil
			})}, nil)
			time.AfterFunc(time.Second, p.Cut)
			p.Run(t.Context(), slot())
			if got := s.last(t); got.Status != checks.Unknown || got.Cause != checks.CauseInternal {
				t.Errorf("got %s %s, want unknown internal: the target is not to blame", got.Status, got.Cause)
			}
		})
	})
	t.Run("a confirmation", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			p := newPipeline(s, &pipeline.Job{Confirm: time.Minute, Check: free(checks.Fail(checks.CauseServer, "500"), nil)}, nil)
			time.AfterFunc(time.Second, p.Cut)
			p.Run(t.Context(), slot())
			if got := s.last(t); got.Status != checks.Failed || !got.Final {
				t.Errorf("got %s, final %v; want the failure, final", got.Status, got.Final)
			}
		})
	})
}

func TestSkippedSlotsTravelTheSameRoad(t *testing.T) {
	t.Parallel()
	s := newShelf()
	p := newPipeline(s, &pipeline.Job{Check: free(checks.Pass(""), nil)}, nil)
	from := time.Date(2026, 3, 29, 2, 0, 0, 0, time.UTC)
	p.Skip(t.Context(), "probe", from, 42, checks.Skip(checks.CauseMissed, "the host was asleep"))
	got := s.last(t)
	if got.Status != checks.Skipped || got.Slots != 42 || !got.ScheduledAt.Equal(from) || got.Blame != checks.BlameSkipped {
		t.Errorf("got %+v", got)
	}
}

func TestMeasurementsThatAreLeftOutAreCounted(t *testing.T) {
	t.Parallel()
	s := newShelf()
	result := checks.Pass("well")
	result.Measurements = []checks.Measurement{{Name: "a", Value: math.NaN()}, {Value: 1}, {Name: "b", Value: 2}}
	for i := range 300 {
		result.Measurements = append(result.Measurements, checks.Measurement{Name: "many", Value: float64(i)})
	}
	p := newPipeline(s, &pipeline.Job{Check: free(result, nil)}, nil)
	p.Run(t.Context(), slot())
	kept := int64(len(s.last(t).Measurements))
	if got := p.Dropped(); got != 303-kept || kept != 200 {
		t.Errorf("%d kept and %d counted as dropped of 303", kept, got)
	}
}

// refusing is a store that takes nothing.
type refusing struct{ *shelf }

func (refusing) Append(context.Context, checks.Record) error { return errors.New("no") }

func TestAReportThatTheStoreRefusesIsCounted(t *testing.T) {
	t.Parallel()
	s := newShelf()
	log := slog.New(slog.DiscardHandler)
	job := &pipeline.Job{Name: "probe", Kind: "test", Timeout: time.Second, Check: free(checks.Pass(""), nil)}
	p := pipeline.New(pipeline.Plan{Jobs: []*pipeline.Job{job}}, pipeline.Options{Store: refusing{s}, Ledger: s, Breakers: pipeline.NewBreakers(s, log), Log: log})
	p.Run(t.Context(), slot())
	if got := p.Unstored(); got != 1 {
		t.Errorf("%d reports are counted as not stored, want 1", got)
	}
}
