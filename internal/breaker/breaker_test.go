package breaker_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/breaker"
)

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// ran is the final report of a run that began and ended at the given time.
func ran(at time.Time, status checks.Status, cause checks.Cause) *checks.Report {
	return &checks.Report{StartedAt: at, Final: true, Result: checks.Result{Status: status, Cause: cause}}
}

// opened is a breaker that opened at start.
func opened(t *testing.T) breaker.Breaker {
	t.Helper()
	b := breaker.New(5, time.Minute)
	for range 5 {
		b.Record(start(), ran(start(), checks.Failed, checks.CauseServer))
	}
	wantState(t, &b, breaker.Open)
	return b
}

// halfOpen is a breaker that became half-open a minute after start.
func halfOpen(t *testing.T) (breaker.Breaker, time.Time) {
	t.Helper()
	b := opened(t)
	now := start().Add(time.Minute)
	b.Listed(now, true)
	wantState(t, &b, breaker.HalfOpen)
	return b, now
}

func wantState(t *testing.T, b *breaker.Breaker, want breaker.State) {
	t.Helper()
	if got := b.State(); got != want {
		t.Errorf("the breaker is %s, want %s", got, want)
	}
}

func TestWhatOpensIt(t *testing.T) {
	type run struct {
		status checks.Status
		cause  checks.Cause
	}
	down, ok := run{checks.Failed, checks.CauseServer}, run{checks.OK, checks.CauseNone}
	tests := map[string]struct {
		runs []run
		want breaker.State
	}{
		"four failures do not":                   {[]run{down, down, down, down}, breaker.Closed},
		"five do":                                {[]run{down, down, down, down, down}, breaker.Open},
		"five of different causes do":            {[]run{down, {checks.Failed, checks.CauseTimeout}, {checks.Failed, checks.CauseRateLimited}, {checks.Failed, checks.CauseDNS}, {checks.Failed, checks.CauseStreamStalled}}, breaker.Open},
		"a success between ends the row":         {[]run{down, down, down, down, ok, down}, breaker.Closed},
		"a slow success ends the row":            {[]run{down, down, down, down, {checks.Degraded, checks.CauseSlow}, down}, breaker.Closed},
		"a 401 ends the row: the provider spoke": {[]run{down, down, down, down, {checks.Failed, checks.CauseAuth}, down}, breaker.Closed},
		"ten times 401 do not":                   {[]run{{checks.Failed, checks.CauseAuth}, {checks.Failed, checks.CauseAuth}, {checks.Failed, checks.CauseForbidden}, {checks.Failed, checks.CauseBadRequest}, {checks.Failed, checks.CauseModelGone}, {checks.Failed, checks.CauseAuth}}, breaker.Closed},
		"our own fault says nothing":             {[]run{down, down, {checks.Error, checks.CauseInternal}, down, down, down}, breaker.Open},
		"nobody's word says nothing":             {[]run{down, down, {checks.Unknown, checks.CauseServer}, down, down, down}, breaker.Open},
		"a skip says nothing":                    {[]run{down, down, {checks.Skipped, checks.CauseBudget}, down, down, down}, breaker.Open},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := breaker.New(5, time.Minute)
			for _, r := range tt.runs {
				b.Record(start(), ran(start(), r.status, r.cause))
			}
			wantState(t, &b, tt.want)
		})
	}
}

func TestEveryCauseCountsAsItsTableSays(t *testing.T) {
	for _, info := range checks.Causes() {
		b := breaker.New(1, time.Minute)
		b.Record(start(), ran(start(), checks.Failed, info.Cause))
		want := breaker.Closed
		if info.Counted {
			want = breaker.Open
		}
		if b.State() != want {
			t.Errorf("%s left the breaker %s, want %s", info.Cause, b.State(), want)
		}
	}
}

func TestOpenWaitsForTheResetAndAList(t *testing.T) {
	b := opened(t)
	if v := b.Allow(start().Add(59 * time.Second)); v.Allowed || !strings.Contains(v.Why, "until 2026-03-01T12:01:00Z") || !strings.Contains(v.Why, "server") {
		t.Errorf("got %+v before the reset, want no, with the cause and the time", v)
	}
	b.Listed(start().Add(30*time.Second), true)
	wantState(t, &b, breaker.Open)
	after := start().Add(time.Minute)
	if !b.WantsProbe(after) {
		t.Error("the breaker wants no list after the reset time")
	}
	if v := b.Allow(after); v.Allowed || !strings.Contains(v.Why, "models list") {
		t.Errorf("got %+v after the reset, want no: the list has not come", v)
	}
	b.Listed(after, false)
	if b.WantsProbe(after.Add(59 * time.Second)) {
		t.Error("the breaker wants a list within the reset time after a failed one")
	}
	b.Listed(after.Add(time.Minute), true)
	wantState(t, &b, breaker.HalfOpen)
}

func TestHalfOpenIsDecidedByOneRun(t *testing.T) {
	tests := map[string]struct {
		status checks.Status
		cause  checks.Cause
		want   breaker.State
	}{
		"a success closes it":                    {checks.OK, checks.CauseNone, breaker.Closed},
		"a slow success closes it":               {checks.Degraded, checks.CauseSlow, breaker.Closed},
		"a 401 closes it":                        {checks.Failed, checks.CauseAuth, breaker.Closed},
		"a 400 closes it":                        {checks.Failed, checks.CauseBadRequest, breaker.Closed},
		"a counted failure opens it":             {checks.Failed, checks.CauseTimeout, breaker.Open},
		"our own fault leaves it to another run": {checks.Error, checks.CauseInternal, breaker.HalfOpen},
		"nobody's word leaves it to another run": {checks.Unknown, checks.CauseInternal, breaker.HalfOpen},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, now := halfOpen(t)
			if !b.Allow(now).Allowed {
				t.Fatal("the first run is not allowed")
			}
			if v := b.Allow(now.Add(time.Second)); v.Allowed || !strings.Contains(v.Why, "in flight") {
				t.Errorf("got %+v for a second run, want no", v)
			}
			b.Record(now.Add(5*time.Second), ran(now, tt.status, tt.cause))
			wantState(t, &b, tt.want)
			if allowed := b.Allow(now.Add(6 * time.Second)).Allowed; allowed != (tt.want != breaker.Open) {
				t.Errorf("the next run allowed: %v, while the breaker is %s", allowed, tt.want)
			}
		})
	}
}

func TestHalfOpenAgainAfterAnotherReset(t *testing.T) {
	b, now := halfOpen(t)
	b.Allow(now)
	b.Record(now, ran(now, checks.Failed, checks.CauseCapacity))
	wantState(t, &b, breaker.Open)
	if b.WantsProbe(now.Add(59*time.Second)) || !b.WantsProbe(now.Add(time.Minute)) {
		t.Error("the wait after a failed half-open run is not the reset time")
	}
}

func TestALostRunDoesNotWedgeIt(t *testing.T) {
	b, now := halfOpen(t)
	b.Allow(now)
	if b.Allow(now.Add(59 * time.Second)).Allowed {
		t.Error("a second run was allowed within the reset time")
	}
	if !b.Allow(now.Add(time.Minute)).Allowed {
		t.Error("no run is allowed after the run in flight was lost")
	}
	b.Allow(now)
	if !b.Allow(now.Add(-24 * time.Hour)).Allowed {
		t.Error("no run is allowed after the clock was set back a day")
	}
}

func TestReleaseGivesThePermissionBack(t *testing.T) {
	b, now := halfOpen(t)
	b.Allow(now)
	b.Release()
	if !b.Allow(now).Allowed {
		t.Error("no run is allowed after the one before was given back")
	}
}

func TestRunsOfAnEarlierStateAreIgnored(t *testing.T) {
	b, now := halfOpen(t)
	b.Allow(now)
	b.Record(now.Add(time.Second), ran(start().Add(-time.Second), checks.Failed, checks.CauseTimeout))
	b.Record(now.Add(time.Second), ran(start().Add(-time.Second), checks.OK, checks.CauseNone))
	wantState(t, &b, breaker.HalfOpen)
	if b.Allow(now.Add(time.Second)).Allowed {
		t.Error("a late run gave the permission of another back")
	}
	b.Record(now.Add(2*time.Second), ran(now, checks.OK, checks.CauseNone))
	wantState(t, &b, breaker.Closed)
	for range 9 {
		b.Record(now.Add(3*time.Second), ran(start(), checks.Failed, checks.CauseTimeout))
	}
	wantState(t, &b, breaker.Closed)
}

func TestRecordsThatAreNotFinalAreIgnored(t *testing.T) {
	b := breaker.New(1, time.Minute)
	first := ran(start(), checks.Failed, checks.CauseServer)
	first.Final = false
	b.Record(start(), first)
	wantState(t, &b, breaker.Closed)

	b, now := halfOpen(t)
	b.Allow(now)
	first.StartedAt = now
	b.Record(now, first)
	wantState(t, &b, breaker.HalfOpen)
	if !b.Allow(now.Add(10 * time.Second)).Allowed {
		t.Error("the run that confirms is not allowed")
	}
}

func TestSettings(t *testing.T) {
	b := breaker.New(0, -1)
	for range 4 {
		b.Record(start(), ran(start(), checks.Failed, checks.CauseServer))
	}
	wantState(t, &b, breaker.Closed)
	b.Configure(2, time.Second)
	b.Record(start(), ran(start(), checks.Failed, checks.CauseServer))
	wantState(t, &b, breaker.Open)
	if !b.WantsProbe(start().Add(time.Second)) {
		t.Error("the new reset time does not hold")
	}
	b.Configure(2, time.Millisecond)
	if !b.WantsProbe(start().Add(time.Millisecond)) {
		t.Error("a shorter reset time does not hold for an open breaker")
	}
}

func TestRestore(t *testing.T) {
	now := start().Add(30 * time.Second)
	open := opened(t)
	half, _ := halfOpen(t)
	tests := map[string]struct {
		data    string
		want    breaker.State
		probeIn time.Duration // from now; for Open
		err     string
	}{
		"what an open breaker wrote":        {string(open.Snapshot()), breaker.Open, 30 * time.Second, ""},
		"what a half-open breaker wrote":    {string(half.Snapshot()), breaker.HalfOpen, 0, ""},
		"a time in the future is clamped":   {`{"version":1,"state":"open","since":"2099-01-01T00:00:00Z","probe_at":"2099-01-01T00:01:00Z","cause":"server"}`, breaker.Open, time.Minute, ""},
		"a time long ago asks at once":      {`{"version":1,"state":"open","since":"2001-01-01T00:00:00Z","probe_at":"2001-01-01T00:01:00Z"}`, breaker.Open, -time.Hour, ""},
		"no times ask at once":              {`{"version":1,"state":"open"}`, breaker.Open, -time.Hour, ""},
		"absurd counts do not open it":      {`{"version":1,"state":"closed","failures":99999}`, breaker.Closed, 0, ""},
		"negative counts neither":           {`{"version":1,"state":"closed","failures":-7}`, breaker.Closed, 0, ""},
		"an unknown state":                  {`{"version":1,"state":"ajar"}`, breaker.Closed, 0, `state "ajar"`},
		"another version":                   {`{"version":2,"state":"open"}`, breaker.Closed, 0, "version 2, want 1"},
		"no JSON":                           {`open`, breaker.Closed, 0, "reading the state"},
		"nothing":                           {``, breaker.Closed, 0, "reading the state"},
		"a cause that nobody knows is lost": {`{"version":1,"state":"open","cause":"gremlins"}`, breaker.Open, -time.Hour, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := breaker.New(5, time.Minute)
			err := b.Restore(now, []byte(tt.data))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("got error %v, want %q", err, tt.err)
			}
			wantState(t, &b, tt.want)
			st := b.Status()
			if st.Since.After(now) || st.Failures < 0 || st.Failures > 5 || st.Cause == "gremlins" {
				t.Errorf("got %+v, want sane values", st)
			}
			if tt.want != breaker.Open {
				return
			}
			if probe := now.Add(tt.probeIn); !b.WantsProbe(probe) || tt.probeIn > 0 && b.WantsProbe(probe.Add(-time.Second)) {
				t.Errorf("a list is wanted at %s, want at %s", st.ProbeAt, probe)
			}
		})
	}
}

// Whatever happens in whatever order: the breaker never allows a paid run while open, at most one at a time while half-open,
// leaves open only through a list, and is never stuck.
func TestProperties(t *testing.T) {
	causes := checks.Causes()
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := breaker.New(1+rnd.IntN(5), time.Minute)
		now := start()
		var flying []time.Time
		row := 0
		for range 400 {
			now = now.Add(time.Duration(rnd.IntN(20)) * time.Second)
			before := b.State()
			switch rnd.IntN(5) {
			case 0, 1:
				v := b.Allow(now)
				if v.Allowed != (v.Why == "") {
					t.Fatalf("seed %d: verdict %+v, want a reason exactly where it is no", seed, v)
				}
				if v.Allowed && before == breaker.Open {
					t.Fatalf("seed %d: a paid run was allowed while open", seed)
				}
				if v.Allowed && before == breaker.HalfOpen {
					for _, at := range flying {
						if !at.Before(b.Status().Since) && now.Sub(at) < time.Minute {
							t.Fatalf("seed %d: two runs at a time while half-open", seed)
						}
					}
				}
				if v.Allowed {
					flying = append(flying, now)
				}
			case 2, 3:
				if len(flying) == 0 {
					continue
				}
				at := flying[0]
				flying = flying[1:]
				cause := causes[rnd.IntN(len(causes))].Cause
				status := []checks.Status{checks.OK, checks.Failed, checks.Failed, checks.Error}[rnd.IntN(4)]
				b.Record(now, ran(at, status, cause))
				if before == breaker.Open && b.State() != breaker.Open {
					t.Fatalf("seed %d: a run led out of open", seed)
				}
			case 4:
				b.Listed(now, rnd.IntN(2) == 0)
				if before != breaker.Open && b.State() != before {
					t.Fatalf("seed %d: a list changed %s to %s", seed, before, b.State())
				}
			}
			restored := breaker.New(5, time.Minute)
			if err := restored.Restore(now, b.Snapshot()); err != nil || restored.State() != b.State() {
				t.Fatalf("seed %d: restored as %s, %v; want %s", seed, restored.State(), err, b.State())
			}
			row++
		}
		// never stuck: from anywhere, time, a list and a good run close it
		now = now.Add(time.Hour)
		b.Listed(now, true)
		if !b.Allow(now).Allowed {
			t.Fatalf("seed %d: stuck %s after %d steps", seed, b.State(), row)
		}
		b.Record(now, ran(now, checks.OK, checks.CauseNone))
		wantState(t, &b, breaker.Closed)
	}
}

func FuzzRestore(f *testing.F) {
	b := breaker.New(5, time.Minute)
	f.Add(b.Snapshot())
	f.Add([]byte(`{"version":1,"state":"open","since":"9999-12-31T23:59:59Z","probe_at":"0001-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := breaker.New(5, time.Minute)
		if b.Restore(start(), data) != nil {
			return
		}
		now := start().Add(time.Minute)
		b.Listed(now, true)
		if !b.Allow(now).Allowed {
			t.Fatalf("%q leaves the breaker stuck %s", data, b.State())
		}
	})
}
