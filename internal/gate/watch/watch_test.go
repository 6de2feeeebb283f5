package watch_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/gate"
	"github.com/windsock-monitor/windsock/internal/gate/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rollout is a plan of ten minutes whose runs end as do says; n counts them from 1.
func rollout(do func(ctx context.Context, check string, n int) (*checks.Report, error)) watch.Options {
	var mu sync.Mutex
	count := map[string]int{}
	return watch.Options{
		For: 10 * time.Minute, Every: time.Minute, Limits: gate.Defaults(11), Watched: []gate.Watched{{Check: "app"}},
		Runs: []watch.Run{{Check: "app", Kind: "app", Role: gate.Candidate}}, Tell: func(gate.Sample) {},
		Do: func(ctx context.Context, check string) (*checks.Report, error) {
			mu.Lock()
			count[check]++
			n := count[check]
			mu.Unlock()
			return do(ctx, check, n)
		},
		Values: func(*checks.Report) map[string]float64 { return nil },
	}
}

func report(check string, status checks.Status) *checks.Report {
	return &checks.Report{ID: "id", Check: check, Kind: "app", StartedAt: time.Now(), Took: time.Millisecond, Result: checks.Result{Status: status}}
}

func TestAGateSamplesOnAGrid(t *testing.T) {
	for name, tc := range map[string]struct {
		do     func(ctx context.Context, check string, n int) (*checks.Report, error)
		want   gate.Decision
		rounds int
		took   time.Duration
		ended  string
	}{
		"all is well": {func(_ context.Context, check string, _ int) (*checks.Report, error) {
			return report(check, checks.OK), nil
		}, gate.Promote, 11, 10 * time.Minute, ""},
		"a clear failure ends it": {func(_ context.Context, check string, n int) (*checks.Report, error) {
			if n > 4 {
				return report(check, checks.Failed), nil
			}
			return report(check, checks.OK), nil
		}, gate.RollBack, 7, 6 * time.Minute, "app failed 3 times in a row"},
		"runs that cannot be made are no failures": {func(context.Context, string, int) (*checks.Report, error) {
			return nil, errors.New("the agent has ended")
		}, gate.Undecided, 11, 10 * time.Minute, ""},
		"a run that outlives its slot costs those that it covers": {func(_ context.Context, check string, _ int) (*checks.Report, error) {
			time.Sleep(150 * time.Second)
			return report(check, checks.OK), nil
		}, gate.Undecided, 4, 11*time.Minute + 30*time.Second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				got := watch.Watch(t.Context(), rollout(tc.do))
				if got.Decision != tc.want || got.Rounds != tc.rounds || time.Since(began) != tc.took || got.Ended != tc.ended {
					t.Errorf("%s after %d rounds and %s, ended %q; want %s after %d and %s, ended %q\n%q", got.Decision, got.Rounds, time.Since(began), got.Ended,
						tc.want, tc.rounds, tc.took, tc.ended, got.Reasons)
				}
			})
		})
	}
}

func TestASingleRoundTakesNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		o := rollout(func(_ context.Context, check string, _ int) (*checks.Report, error) {
			return report(check, checks.OK), nil
		})
		o.For, o.Limits = 0, gate.Defaults(1)
		if got := watch.Watch(t.Context(), o); got.Decision != gate.Promote || got.Rounds != 1 || !time.Now().Equal(began) {
			t.Errorf("%s after %d rounds, %s: %q", got.Decision, got.Rounds, time.Since(began), got.Reasons)
		}
	})
}

func TestWhoInterruptsAGateHasNotDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(150*time.Second, cancel)
		o := rollout(func(ctx context.Context, check string, n int) (*checks.Report, error) {
			if n == 3 { // at 120 s: it is cut
				<-ctx.Done()
				return report(check, checks.Failed), nil
			}
			return report(check, checks.OK), nil
		})
		told := 0
		o.Tell = func(gate.Sample) { told++ }
		got := watch.Watch(ctx, o)
		if got.Decision != gate.Undecided || got.Rounds != 2 || told != 2 || len(got.Evidence.Samples) != 2 || got.Ended != "interrupted" {
			t.Errorf("%s after %d rounds, %d told, ended %q: %q", got.Decision, got.Rounds, told, got.Ended, got.Reasons)
		}
	})
}

func TestAlertsOfTheAgentCount(t *testing.T) {
	firing := func(severity checks.Severity, state checks.AlertState) []checks.Alert {
		return []checks.Alert{{Rule: "r", Fingerprint: "f", Severity: severity, State: state}}
	}
	labelled := firing(checks.P1, checks.AlertFiring)
	labelled[0].Labels = map[string]string{"drill": "true"}
	muted := firing(checks.P1, checks.AlertFiring)
	muted[0].Muted = "maintenance"
	for name, tc := range map[string]struct {
		before, later []checks.Alert
		err           error
		want          gate.Decision
		rounds        int
	}{
		"none":                         {nil, nil, nil, gate.Promote, 11},
		"a new P1":                     {nil, firing(checks.P1, checks.AlertFiring), nil, gate.RollBack, 2},
		"a new P2":                     {nil, firing(checks.P2, checks.AlertFiring), nil, gate.RollBack, 11},
		"a new P3":                     {nil, firing(checks.P3, checks.AlertFiring), nil, gate.Promote, 11},
		"one that is pending":          {nil, firing(checks.P1, checks.AlertPending), nil, gate.Promote, 11},
		"one that was pending":         {firing(checks.P1, checks.AlertPending), firing(checks.P1, checks.AlertFiring), nil, gate.RollBack, 2},
		"one that fired before":        {firing(checks.P1, checks.AlertFiring), firing(checks.P1, checks.AlertFiring), nil, gate.Undecided, 11},
		"one that fired before and is": {firing(checks.P1, checks.AlertFiring), nil, nil, gate.Undecided, 11},
		"one of a drill":               {nil, labelled, nil, gate.Promote, 11},
		"one that is muted":            {nil, muted, nil, gate.Promote, 11},
		"an agent that is gone":        {nil, nil, errors.New("gone"), gate.Undecided, 11},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := rollout(func(_ context.Context, check string, _ int) (*checks.Report, error) {
					return report(check, checks.OK), nil
				})
				asked := 0
				o.Alerts = func(context.Context) ([]checks.Alert, error) {
					asked++
					if asked < 3 { // before, and after the first round
						return tc.before, nil
					}
					return tc.later, tc.err
				}
				if got := watch.Watch(t.Context(), o); got.Decision != tc.want || got.Rounds != tc.rounds {
					t.Errorf("%s after %d rounds, want %s after %d: %q", got.Decision, got.Rounds, tc.want, tc.rounds, got.Reasons)
				}
			})
		})
	}
}

// An agent that said nothing when the gate began says of each alert since when it fires.
func TestAnAlertIsNotNewBecauseNobodySaidThatItWasThere(t *testing.T) {
	for name, tc := range map[string]struct {
		since time.Duration // after the beginning
		want  gate.Decision
	}{
		"it fired long before": {-time.Hour, gate.Undecided},
		"it began to fire":     {time.Minute, gate.RollBack},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := rollout(func(_ context.Context, check string, _ int) (*checks.Report, error) {
					return report(check, checks.OK), nil
				})
				since, asked := time.Now().Add(tc.since), 0
				o.Alerts = func(context.Context) ([]checks.Alert, error) {
					if asked++; asked == 1 {
						return nil, errors.New("busy")
					}
					return []checks.Alert{{Rule: "r", Fingerprint: "f", Severity: checks.P2, State: checks.AlertFiring, Since: since}}, nil
				}
				if got := watch.Watch(t.Context(), o); got.Decision != tc.want {
					t.Errorf("%s, want %s: %q", got.Decision, tc.want, got.Reasons)
				}
			})
		})
	}
}

func TestTheBaselineIsSampledSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := rollout(func(_ context.Context, check string, _ int) (*checks.Report, error) {
			r := report(check, checks.OK)
			if check == "app" {
				r.Took = time.Second
			}
			return r, nil
		})
		o.Watched[0].SideBySide = true
		o.Runs = append(o.Runs, watch.Run{Check: "stable", Kind: "app", Role: gate.Baseline, For: "app"})
		got := watch.Watch(t.Context(), o)
		if got.Decision != gate.RollBack || !strings.Contains(strings.Join(got.Reasons, ""), "p95 1.000s, with 0.001s as the baseline of 11 runs") {
			t.Errorf("%s: %q", got.Decision, got.Reasons)
		}
	})
}
