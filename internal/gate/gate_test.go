package gate_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/gate"
)

const app = "gate-app"

// run is a sample of the candidate that took a tenth of a second.
func run(status checks.Status) gate.Sample {
	return gate.Sample{ID: "r", Role: gate.Candidate, Check: app, Kind: "app", Status: status, Took: 0.1}
}

func runs(n int, s gate.Sample) []gate.Sample {
	all := make([]gate.Sample, n)
	for i := range all {
		all[i] = s
		all[i].ID = s.ID + strconv.Itoa(i)
	}
	return all
}

func took(s gate.Sample, seconds float64) gate.Sample {
	s.Took = seconds
	return s
}

func as(s gate.Sample, role gate.Role) gate.Sample {
	s.Role, s.For = role, app
	return s
}

func blamed(s gate.Sample, cause checks.Cause, blame checks.Blame) gate.Sample {
	s.Cause, s.Blame = cause, blame
	return s
}

func traffic(role gate.Role, values map[string]float64) gate.Sample {
	return gate.Sample{ID: string(role), Role: role, Check: "gate-traffic", Kind: "prometheus", Status: checks.OK, Values: values}
}

// metricsOver are eleven samples of the traffic, a minute apart, of which the first six or the last say anything, as told.
func metricsOver(first, last bool) []gate.Sample {
	all := make([]gate.Sample, 11)
	began := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for i := range all {
		values := map[string]float64{}
		if first && i < 6 || last && i == 10 {
			values[gate.ErrorShare] = 0.01
		}
		all[i] = traffic(gate.Traffic, values)
		all[i].At = began.Add(time.Duration(i) * time.Minute)
	}
	return all
}

type story struct {
	samples []gate.Sample
	change  func(*gate.Evidence, *gate.Limits)
	want    gate.Decision
	says    string // in the reasons
}

func judged(s story) gate.Verdict {
	e := gate.Evidence{Watched: []gate.Watched{{Check: app, Kind: "app"}}, Samples: s.samples, Rounds: 10}
	l := gate.Defaults(10)
	if s.change != nil {
		s.change(&e, &l)
	}
	return gate.Judge(e, l)
}

func TestTheJudge(t *testing.T) {
	t.Parallel()
	ok, degraded, failed := run(checks.OK), run(checks.Degraded), run(checks.Failed)
	sideBySide := func(e *gate.Evidence, _ *gate.Limits) { e.Watched[0].SideBySide = true }
	asked := func(e *gate.Evidence, _ *gate.Limits) {
		e.TrafficAsked = []string{gate.ErrorShare, gate.SpendPerRequest}
	}
	spent := func(s gate.Sample, usd float64) gate.Sample { s.CostUSD = usd; return s }
	first := func(s gate.Sample, seconds float64) gate.Sample { s.TTFT = seconds; return s }
	for name, s := range map[string]story{
		"all is well":                       {runs(10, ok), nil, gate.Promote, "every criterion passes"},
		"no data never promotes":            {nil, nil, gate.Undecided, "no run was judged"},
		"null never promotes":               {runs(10, run(checks.Unknown)), nil, gate.Undecided, "10 unknown"},
		"our own errors never promote":      {runs(10, run(checks.Error)), nil, gate.Undecided, "10 error"},
		"a spent budget never promotes":     {runs(10, blamed(run(checks.Skipped), checks.CauseBudget, "")), nil, gate.Undecided, "10 skipped (budget)"},
		"too few are well":                  {slices.Concat(runs(7, ok), runs(3, run(checks.Unknown))), nil, gate.Undecided, "7 of 10 runs were answered, want at least 8"},
		"just enough are well":              {slices.Concat(runs(8, ok), runs(2, run(checks.Unknown))), nil, gate.Promote, ""},
		"one failure":                       {slices.Concat(runs(9, ok), runs(1, failed)), nil, gate.RollBack, "1 of 10 judged runs failed, at most 0 may"},
		"a failure beside too little":       {slices.Concat(runs(1, failed), runs(9, run(checks.Unknown))), nil, gate.RollBack, "failed"},
		"a failure that is allowed":         {slices.Concat(runs(9, ok), runs(1, failed)), func(_ *gate.Evidence, l *gate.Limits) { l.MaxFailed = 1 }, gate.Promote, "tolerated: 1 of 10 judged runs failed"},
		"and a share that is not":           {slices.Concat(runs(9, ok), runs(1, failed)), func(_ *gate.Evidence, l *gate.Limits) { l.MaxFailed, l.ErrorShareHolds = 1, true }, gate.RollBack, "10 % of the judged runs failed, at most 5 % may"},
		"degraded never promotes":           {runs(10, degraded), nil, gate.RollBack, "10 of 10 answered runs were degraded"},
		"one degraded run is told":          {slices.Concat(runs(9, ok), runs(1, degraded)), nil, gate.RollBack, "1 of 10 answered runs were degraded, at most 0 % may be"},
		"degraded runs that are allowed":    {slices.Concat(runs(9, ok), runs(1, degraded)), func(_ *gate.Evidence, l *gate.Limits) { l.MaxDegraded = 0.1 }, gate.Promote, "tolerated: 1 of 10 answered runs were degraded"},
		"failures do not hide degraded":     {slices.Concat(runs(7, ok), runs(2, degraded), runs(9, failed)), func(_ *gate.Evidence, l *gate.Limits) { l.MaxFailed, l.MaxDegraded = 20, 0.15 }, gate.RollBack, "2 of 9 answered runs were degraded"},
		"interrupted, though all is well":   {runs(10, ok), func(e *gate.Evidence, _ *gate.Limits) { e.Interrupted = true }, gate.Undecided, "not enough data"},
		"interrupted, though all is bad":    {runs(10, failed), func(e *gate.Evidence, _ *gate.Limits) { e.Interrupted = true }, gate.Undecided, "not enough data"},
		"nothing is watched":                {runs(10, ok), func(e *gate.Evidence, _ *gate.Limits) { e.Watched = nil }, gate.Undecided, "nothing was watched"},
		"another check is silent":           {runs(10, ok), func(e *gate.Evidence, _ *gate.Limits) { e.Watched = append(e.Watched, gate.Watched{Check: "chat"}) }, gate.Undecided, "answered_runs of chat: 0 of 0"},
		"the application wants a password":  {runs(10, blamed(failed, checks.CauseAuth, checks.BlameConfig)), nil, gate.Undecided, "10 unknown (auth"},
		"our own network is down":           {runs(10, blamed(failed, checks.CauseConnect, checks.BlameLocal)), nil, gate.Undecided, "10 unknown (connect"},
		"its name is not known":             {runs(10, blamed(failed, checks.CauseDNS, checks.BlameNetwork)), nil, gate.Undecided, "10 unknown (dns"},
		"there is no way to it":             {runs(10, blamed(failed, checks.CauseConnect, checks.BlameNetwork)), nil, gate.Undecided, "10 unknown (connect"},
		"the proxy does not let us through": {runs(10, blamed(failed, checks.CauseProxy, checks.BlameNetwork)), nil, gate.Undecided, "10 unknown (proxy"},
		"it sends us to a login":            {runs(10, blamed(failed, checks.CauseUnexpectedRedirect, checks.BlameApplication)), nil, gate.Undecided, "10 unknown (unexpected_redirect"},
		"its host refuses":                  {runs(10, blamed(failed, checks.CauseConnect, checks.BlameApplication)), nil, gate.RollBack, "10 of 10 judged runs failed"},
		"its host does not answer in time":  {runs(10, blamed(failed, checks.CauseTimeoutConnect, checks.BlameNetwork)), nil, gate.RollBack, "10 of 10 judged runs failed"},
		"its certificate is no good":        {runs(10, blamed(failed, checks.CauseTLS, checks.BlameNetwork)), nil, gate.RollBack, "10 of 10 judged runs failed"},
		"the metrics were silent for long":  {append(runs(10, ok), metricsOver(false, true)...), asked, gate.Undecided, "the application's metrics did not say 5 times"},
		"the metrics were silent shortly":   {append(runs(10, ok), metricsOver(true, true)...), asked, gate.Promote, ""},
		"silent, and bad where they spoke": {
			append(runs(10, ok), append(metricsOver(false, true), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0.5}))...), asked, gate.RollBack, "50 % at worst",
		},
		"a negative share is none": {
			append(runs(10, ok), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: -1, gate.SpendPerRequest: 1})), asked, gate.Undecided, "traffic_error_share: the application's metrics do not say",
		},
		"negative spend is none": {
			append(runs(10, ok), traffic(gate.TrafficBefore, map[string]float64{gate.ErrorShare: 0, gate.SpendPerRequest: 1}), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0, gate.SpendPerRequest: -1})), asked,
			gate.Undecided, "traffic_spend_per_request: the application's metrics do not say",
		},
		"negative spend before is no baseline": {
			append(runs(10, ok), traffic(gate.TrafficBefore, map[string]float64{gate.ErrorShare: 0, gate.SpendPerRequest: -1}), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0, gate.SpendPerRequest: 1})), asked,
			gate.Promote, "",
		},
		"it is slow, without a baseline":    {runs(10, took(ok, 5.1)), nil, gate.RollBack, "p95 5.100s, at most 5.000s; there is no baseline"},
		"it is slower than the stable one":  {slices.Concat(runs(10, took(ok, 0.4)), runs(10, as(took(ok, 0.2), gate.Baseline))), sideBySide, gate.RollBack, "with 0.200s as the baseline of 10 runs"},
		"it is a little slower":             {slices.Concat(runs(10, took(ok, 0.29)), runs(10, as(took(ok, 0.2), gate.Baseline))), sideBySide, gate.Promote, ""},
		"a hair slower than almost nothing": {slices.Concat(runs(10, took(ok, 0.05)), runs(10, as(took(ok, 0.002), gate.Baseline))), sideBySide, gate.Promote, ""},
		"the stable one is slow too":        {slices.Concat(runs(10, took(ok, 9)), runs(10, as(took(ok, 8), gate.Baseline))), sideBySide, gate.Promote, ""},
		"and there is a limit all the same": {
			slices.Concat(runs(10, took(ok, 9)), runs(10, as(took(ok, 8), gate.Baseline))),
			func(e *gate.Evidence, l *gate.Limits) { e.Watched[0].SideBySide, l.P95Most = true, 5 }, gate.RollBack, "at most 5.000s",
		},
		"the stable one fails too":             {slices.Concat(runs(10, failed), runs(10, as(failed, gate.Baseline))), sideBySide, gate.RollBack, "of the stable deployment 10 failed too"},
		"the stable one does not answer":       {slices.Concat(runs(10, ok), runs(10, as(failed, gate.Baseline))), sideBySide, gate.Undecided, "the stable deployment answered 0 runs"},
		"slower than before":                   {slices.Concat(runs(10, took(ok, 0.4)), runs(10, as(took(ok, 0.2), gate.Before))), nil, gate.RollBack, "p95"},
		"too little is known of the time then": {slices.Concat(runs(10, took(ok, 0.4)), runs(2, as(took(ok, 0.2), gate.Before))), nil, gate.Promote, ""},
		"the first token is later":             {slices.Concat(runs(10, first(ok, 0.9)), runs(10, as(first(ok, 0.3), gate.Before))), nil, gate.RollBack, "p95_time_to_first_token"},
		"the first token is late":              {runs(10, first(ok, 2.1)), nil, gate.RollBack, "p95_time_to_first_token"},
		"there is no first token any more":     {slices.Concat(runs(10, ok), runs(10, as(first(ok, 0.3), gate.Before))), nil, gate.Undecided, "0 runs with a time"},
		"it is dearer than before":             {slices.Concat(runs(10, spent(ok, 0.02)), runs(10, as(spent(ok, 0.01), gate.Before))), nil, gate.RollBack, "spend_per_run of gate-app: $0.020000 a run, at most $0.015000"},
		"it seldom says what it costs":         {slices.Concat(runs(9, ok), runs(1, spent(ok, 0.01)), runs(10, as(spent(ok, 0.01), gate.Before))), nil, gate.Undecided, "1 runs say what they cost, want at least 8"},
		"there is a limit, and no cost":        {runs(10, ok), func(_ *gate.Evidence, l *gate.Limits) { l.SpendMost = 0.01 }, gate.Undecided, "no run says what it cost, and there is a limit of it"},
		"there is a limit, and no first token": {runs(10, ok), func(_ *gate.Evidence, l *gate.Limits) { l.TTFTMost = 1 }, gate.Undecided, "no run says when its first token came"},
		"it does not say what it costs":        {slices.Concat(runs(10, ok), runs(10, as(spent(ok, 0.01), gate.Before))), nil, gate.Undecided, "no run says what it cost"},
		"it is dearer than allowed":            {runs(10, spent(ok, 0.02)), func(_ *gate.Evidence, l *gate.Limits) { l.SpendMost = 0.01 }, gate.RollBack, "spend_per_run"},
		"the traffic has more errors":          {append(runs(10, ok), traffic(gate.TrafficBefore, map[string]float64{gate.ErrorShare: 0.001}), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0.02})), asked, gate.RollBack, "traffic_error_share: 2 % at worst, 0.1 % before, at most 1.1 %"},
		"the traffic has as many":              {append(runs(10, ok), traffic(gate.TrafficBefore, map[string]float64{gate.ErrorShare: 0.02}), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0.025})), asked, gate.Promote, ""},
		"as many, which are too many":          {append(runs(10, ok), traffic(gate.TrafficBefore, map[string]float64{gate.ErrorShare: 0.2}), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0.2})), asked, gate.RollBack, "at most 5 %"},
		"nothing is known of before":           {append(runs(10, ok), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0.02})), asked, gate.Promote, ""},
		"missing traffic is not zero":          {append(runs(10, ok), traffic(gate.TrafficBefore, map[string]float64{gate.ErrorShare: 0}), traffic(gate.Traffic, nil)), asked, gate.Undecided, "do not say, which is not zero"},
		"a spike that is over":                 {append(runs(10, ok), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0.2}), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0})), asked, gate.RollBack, "20 % at worst"},
		"traffic that fell silent":             {append(runs(10, ok), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0}), traffic(gate.Traffic, nil)), asked, gate.Undecided, "do not say"},
		"no Prometheus answers":                {append(runs(10, ok), gate.Sample{Role: gate.Traffic, Status: checks.Failed, Kind: "prometheus", Summary: "connection refused"}), asked, gate.Undecided, "connection refused"},
		"a request costs more": {
			append(runs(10, ok), traffic(gate.TrafficBefore, map[string]float64{gate.ErrorShare: 0, gate.SpendPerRequest: 0.001}), traffic(gate.Traffic, map[string]float64{gate.ErrorShare: 0, gate.SpendPerRequest: 0.002})),
			asked, gate.RollBack, "traffic_spend_per_request: $0.002000 now, $0.001000 before, at most $0.001500",
		},
		"a new alert":            {runs(10, ok), alerts(true, gate.Alert{Rule: "app-down", Severity: checks.P2, New: true}), gate.RollBack, "began to fire in the running agent: app-down P2"},
		"an alert that is old":   {runs(10, ok), alerts(true, gate.Alert{Rule: "app-down", Severity: checks.P2}), gate.Undecided, "fired before already"},
		"no alert":               {runs(10, ok), alerts(true), gate.Promote, ""},
		"an agent that is gone":  {runs(10, ok), alerts(false), gate.Undecided, "did not say"},
		"a Prometheus by itself": {slices.Concat(runs(10, ok), runs(3, gate.Sample{Role: gate.Candidate, Kind: "prometheus", Check: "traffic", Status: checks.Failed, Cause: checks.CauseConnect})), nil, gate.Promote, ""},
		"its threshold": {
			slices.Concat(runs(10, ok), runs(1, gate.Sample{Role: gate.Candidate, Kind: "prometheus", Check: "traffic", Status: checks.Failed, Cause: checks.CauseAssertion})), nil, gate.RollBack, "failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := judged(s)
			if v.Decision != s.want || !strings.Contains(strings.Join(v.Reasons, "\n"), s.says) {
				t.Errorf("%s because %q, want %s because %q\n%+v", v.Decision, v.Reasons, s.want, s.says, v.Criteria)
			}
			if len(v.Reasons) == 0 {
				t.Error("a verdict without a reason")
			}
		})
	}
}

func alerts(known bool, all ...gate.Alert) func(*gate.Evidence, *gate.Limits) {
	return func(e *gate.Evidence, _ *gate.Limits) { e.AlertsAsked, e.AlertsKnown, e.Alerts = true, known, all }
}

func TestAClearFailureEndsTheGate(t *testing.T) {
	t.Parallel()
	ok, failed, unknown := run(checks.OK), run(checks.Failed), run(checks.Unknown)
	for name, tc := range map[string]struct {
		samples []gate.Sample
		change  func(*gate.Evidence, *gate.Limits)
		want    bool
	}{
		"three in a row":                   {runs(3, failed), nil, true},
		"two":                              {runs(2, failed), nil, false},
		"three with a good one between":    {slices.Concat(runs(2, failed), runs(1, ok), runs(1, failed)), nil, false},
		"what nobody knows is no good one": {slices.Concat(runs(2, failed), runs(1, unknown), runs(1, failed)), nil, true},
		"six, each after a good one":       {slices.Repeat([]gate.Sample{ok, failed}, 6), nil, true},
		"five, each after a good one":      {slices.Repeat([]gate.Sample{ok, failed}, 5), nil, false},
		"six of them that are allowed":     {slices.Repeat([]gate.Sample{ok, failed}, 6), func(_ *gate.Evidence, l *gate.Limits) { l.MaxFailed = 6 }, false},
		"three that are allowed":           {runs(3, failed), func(_ *gate.Evidence, l *gate.Limits) { l.MaxFailed = 3 }, false},
		"it is off":                        {runs(9, failed), func(_ *gate.Evidence, l *gate.Limits) { l.AbortAfter = 0 }, false},
		"three of the stable deployment":   {runs(3, as(failed, gate.Baseline)), nil, false},
		"three that say nothing":           {runs(3, blamed(failed, checks.CauseAuth, checks.BlameConfig)), nil, false},
		"a new P1 alert":                   {runs(1, ok), alerts(true, gate.Alert{Severity: checks.P1, New: true}), true},
		"an old one":                       {runs(1, ok), alerts(true, gate.Alert{Severity: checks.P1}), false},
		"a new P2 alert":                   {runs(1, ok), alerts(true, gate.Alert{Severity: checks.P2, New: true}), false},
		"a P1 alert where no failure ends it": {runs(1, ok), func(e *gate.Evidence, l *gate.Limits) {
			l.AbortAfter, e.Alerts = 0, []gate.Alert{{Severity: checks.P1, New: true}}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, l := gate.Evidence{Watched: []gate.Watched{{Check: app}}, Samples: tc.samples}, gate.Defaults(10)
			if tc.change != nil {
				tc.change(&e, &l)
			}
			if got := gate.Abort(e, l); (got != "") != tc.want {
				t.Errorf("%q, want an end: %v", got, tc.want)
			}
		})
	}
}

// evidenceOf makes a rollout of what chance says.
func evidenceOf(seed uint64) (gate.Evidence, gate.Limits) {
	r := rand.New(rand.NewPCG(seed, 8))
	n := r.IntN(15)
	l := gate.Defaults(max(n, 1))
	l.MaxFailed, l.MaxDegraded, l.ErrorShareHolds = r.IntN(4), float64(r.IntN(3))/10, r.IntN(2) == 0
	l.MinSamples = r.IntN(6)
	e := gate.Evidence{Watched: []gate.Watched{{Check: app, SideBySide: r.IntN(4) == 0}}, Rounds: n}
	causes := []checks.Cause{checks.CauseNone, checks.CauseAuth, checks.CauseServer, checks.CauseConnect}
	blames := []checks.Blame{checks.BlameNone, checks.BlameConfig, checks.BlameApplication, checks.BlameLocal}
	roles := []gate.Role{gate.Candidate, gate.Candidate, gate.Candidate, gate.Baseline, gate.Before, gate.Traffic, gate.TrafficBefore}
	for i := range n {
		s := gate.Sample{
			ID: strconv.Itoa(i), Role: roles[r.IntN(len(roles))], Check: app, For: app, Kind: "app", Status: checks.Statuses()[r.IntN(6)],
			Cause: causes[r.IntN(4)], Blame: blames[r.IntN(4)], Took: r.Float64(), TTFT: float64(r.IntN(2)) * r.Float64(), CostUSD: float64(r.IntN(2)) * r.Float64(),
		}
		if r.IntN(2) == 0 {
			s.Values = map[string]float64{gate.ErrorShare: r.Float64() / 5, gate.SpendPerRequest: r.Float64()}
		}
		e.Samples = append(e.Samples, s)
	}
	if r.IntN(3) == 0 {
		e.TrafficAsked = []string{gate.ErrorShare, gate.SpendPerRequest}
	}
	if r.IntN(3) == 0 {
		e.AlertsAsked, e.AlertsKnown = true, r.IntN(2) == 0
		if r.IntN(2) == 0 {
			e.Alerts = []gate.Alert{{Rule: "x", New: r.IntN(2) == 0, Severity: checks.P2}}
		}
	}
	return e, l
}

// FuzzJudge holds what must be true of every verdict.
func FuzzJudge(f *testing.F) {
	for seed := range uint64(3000) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, where uint8) {
		e, l := evidenceOf(seed)
		before := gate.Judge(e, l)
		holds(t, e, before)
		worse := e
		at := int(where) % (len(e.Samples) + 1)
		worse.Samples = slices.Insert(slices.Clone(e.Samples), at, gate.Sample{ID: "new", Role: gate.Candidate, Check: app, Kind: "app", Status: checks.Failed, Cause: checks.CauseServer, Took: 0.01})
		if after := gate.Judge(worse, l); after.Decision == gate.Promote && before.Decision != gate.Promote {
			t.Errorf("one more failed run made a promotion of %s %q\n%+v", before.Decision, before.Reasons, e.Samples)
		}
		silent := e
		silent.Samples = nil
		for _, s := range e.Samples {
			if s.Role == gate.Candidate {
				s.Status = []checks.Status{checks.Unknown, checks.Skipped, checks.Error}[int(where)%3]
			}
			silent.Samples = append(silent.Samples, s)
		}
		if v := gate.Judge(silent, l); v.Decision == gate.Promote {
			t.Errorf("nobody knows anything, and it is promoted: %+v", v)
		}
		e.Interrupted = true
		if v := gate.Judge(e, l); v.Decision != gate.Undecided {
			t.Errorf("interrupted, and %s", v.Decision)
		}
	})
}

// holds is what a verdict obeys by itself.
func holds(t *testing.T, e gate.Evidence, v gate.Verdict) {
	t.Helper()
	count := map[gate.Outcome]int{}
	for _, c := range v.Criteria {
		count[c.Outcome]++
	}
	good := 0
	for _, s := range e.Samples {
		if s.Role == gate.Candidate && (s.Status == checks.OK || s.Status == checks.Degraded) {
			good++
		}
	}
	switch {
	case v.Decision == gate.Promote && (count[gate.Fail]+count[gate.Unknown] > 0 || good == 0):
		t.Errorf("promoted with %v and %d answered runs", count, good)
	case count[gate.Fail] > 0 && v.Decision != gate.RollBack:
		t.Errorf("%s though a criterion fails", v.Decision)
	case len(v.Reasons) == 0:
		t.Error("a verdict without a reason")
	}
}

func TestASampleSaysWhatItsReportSays(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got := gate.Of(&checks.Report{
		ID: "id", Check: "chat", Kind: "chat", StartedAt: at, Took: time.Second, Result: checks.Result{
			Status: checks.Failed, Cause: checks.CauseServer, Summary: "500", Usage: &checks.Usage{Cost: checks.Dollar / 4},
			Phases: []checks.Phase{{Name: checks.PhaseConnect, Took: time.Minute}, {Name: checks.PhaseFirstToken, Took: 300 * time.Millisecond}},
		},
	}, gate.Candidate, 7)
	if got.ID != "id" || got.Round != 7 || got.Took != 1 || got.TTFT != 0.3 || got.CostUSD != 0.25 || got.Blame != checks.BlameProvider || !got.At.Equal(at.Add(time.Second)) {
		t.Errorf("%+v", got)
	}
}
