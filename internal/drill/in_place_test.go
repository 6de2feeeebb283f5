package drill_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/drill"
)

// rehearsed is the state of a drill in place in which all went as it should, changed.
func rehearsed(change func(s *agent.DrillState, a *agent.DrillAlert)) *agent.DrillState {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	s := &agent.DrillState{
		Scenario: "down", Phase: agent.DrillOver, BeganAt: at, BrokeAt: at.Add(time.Second), MendedAt: at.Add(10 * time.Second), EndedAt: at.Add(20 * time.Second),
		Checks: []agent.DrillCheck{{Name: "chat", Kind: "chat"}},
		Alerts: []agent.DrillAlert{{
			Rule: "api-down", Severity: checks.P1, Blame: checks.BlameProvider, State: checks.AlertResolved, FiredAt: at.Add(4 * time.Second), ResolvedAt: at.Add(15 * time.Second),
			Routes: []agent.DrillRoute{
				{Exporter: "team", Kind: "slack", People: true, Wants: true, TellsEnds: true, ToldAt: at.Add(6 * time.Second), ResolvedAt: at.Add(16 * time.Second)},
				{Exporter: "oncall", Kind: "pagerduty", People: true, TellsEnds: true},
			},
		}},
	}
	change(s, &s.Alerts[0])
	return s
}

func TestWhatIsSaidOfADrillInPlace(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change  func(s *agent.DrillState, a *agent.DrillAlert)
		verdict drill.Verdict
		missing string
	}{
		"all as it should be": {func(*agent.DrillState, *agent.DrillAlert) {}, drill.Passed, ""},
		"less severe":         {func(_ *agent.DrillState, a *agent.DrillAlert) { a.Severity = checks.P2 }, drill.Failed, "api-down is P2, want P1"},
		"another is blamed":   {func(_ *agent.DrillState, a *agent.DrillAlert) { a.Blame = checks.BlameOurs }, drill.Failed, "api-down blames ours, want provider"},
		"it did not fire":     {func(s *agent.DrillState, _ *agent.DrillAlert) { s.Alerts = nil }, drill.Failed, "api-down did not fire"},
		"there is no rule": {func(s *agent.DrillState, _ *agent.DrillAlert) {
			s.Alerts, s.Missing = nil, []string{"api-down"}
		}, drill.Failed, "there is no rule api-down, or it is disabled"},
		"a route that was not told": {func(_ *agent.DrillState, a *agent.DrillAlert) {
			a.Routes[1].Wants, a.Routes[1].Why = true, "held: 401"
		}, drill.Failed, "oncall did not tell api-down: held: 401"},
		"no route takes it": {func(_ *agent.DrillState, a *agent.DrillAlert) {
			a.Routes = a.Routes[1:]
		}, drill.Failed, "nobody was told of api-down: no route to people takes it"},
		"nobody may be told": {func(_ *agent.DrillState, a *agent.DrillAlert) {
			a.Muted, a.Routes[0].Wants, a.Routes[0].ToldAt, a.Routes[0].ResolvedAt = "silence/1: deploy", false, time.Time{}, time.Time{}
		}, drill.Failed, "nobody was told of api-down: silence/1: deploy"},
		"the end was not told": {func(_ *agent.DrillState, a *agent.DrillAlert) {
			a.Routes[0].ResolvedAt = time.Time{}
		}, drill.Failed, "team did not tell that api-down is over"},
		"it did not end":             {func(_ *agent.DrillState, a *agent.DrillAlert) { a.ByDrill = true }, drill.Failed, "api-down did not end when the fault did"},
		"it lasts, as its rule does": {func(_ *agent.DrillState, a *agent.DrillAlert) { a.ByDrill, a.Lasting = true, true }, drill.Passed, ""},
		"nobody saw it":              {func(s *agent.DrillState, _ *agent.DrillAlert) { s.Checks[0].Kind = "models" }, drill.NotCovered, ""},
		"it never began": {func(s *agent.DrillState, _ *agent.DrillAlert) {
			s.Checks, s.Alerts, s.BrokeAt, s.Why = nil, nil, time.Time{}, "no check is left"
		}, drill.Undecided, "the drill ended before the fault: no check is left"},
	} {
		sc := drill.Scenario{Name: "down", Expect: []drill.Expectation{{
			Rule: "api-down", Severity: []checks.Severity{checks.P1}, Blame: []checks.Blame{checks.BlameProvider}, Seen: []string{"chat"},
		}}}
		got := sc.JudgeInPlace(rehearsed(tt.change))
		if got.Verdict != tt.verdict || !strings.Contains(strings.Join(got.Missing, "\n"), tt.missing) {
			t.Errorf("%s: got %s, %q, want %s, %q", name, got.Verdict, got.Missing, tt.verdict, tt.missing)
		}
	}
	sc := drill.Scenario{Name: "down", Expect: []drill.Expectation{{Rule: "api-down"}}}
	told := sc.JudgeInPlace(rehearsed(func(*agent.DrillState, *agent.DrillAlert) {})).Alerts[0]
	if *told.ToDetect != 3 || *told.ToNotify != 2 || *told.ToResolve != 5 || len(told.Routes) != 1 || !told.Routes[0].Marked {
		t.Errorf("got %v, %v, %v and %+v, want 3, 2 and 5 seconds by one route", *told.ToDetect, *told.ToNotify, *told.ToResolve, told.Routes)
	}
}

func TestWhatCanBeDrilledInPlace(t *testing.T) {
	t.Parallel()
	all, err := drill.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	var not []string
	for i := range all {
		asked, err := all[i].InPlace()
		if err != nil {
			not = append(not, all[i].Name)
			continue
		}
		if len(asked.Faults) != len(all[i].Faults) || len(asked.Expect) != len(all[i].Expect) {
			t.Errorf("%s: got %+v", all[i].Name, asked)
		}
	}
	if got, want := strings.Join(not, " "), "backend-down cost-spike notifier-down"; got != want {
		t.Errorf("not in place: got %q, want %q", got, want)
	}
}
