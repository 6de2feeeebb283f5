package triage_test

import (
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/runbook"
	"github.com/windsock-monitor/windsock/internal/triage"
)

func pages() []triage.Signal {
	return []triage.Signal{triage.Good, triage.Bad, triage.Blind, triage.Blank}
}

func apps() []triage.Signal {
	return []triage.Signal{triage.Good, triage.Slow, triage.Bad, triage.Blind, triage.Blank}
}

// The whole matrix: each state of the probe against each of the application, in the order of apps. The status page is in no
// row, because it never decides. "blame" is the class of the probe's own trouble.
func TestTheThreeSignals(t *testing.T) {
	t.Parallel()
	blames := map[checks.Blame]triage.Class{
		checks.BlameOurs: triage.Ours, checks.BlameConfig: triage.Ours, checks.BlameApplication: triage.Ours, checks.BlameAccount: triage.Account,
		checks.BlameNetwork: triage.Network, checks.BlameLocal: triage.Network, checks.BlameProvider: triage.Provider,
	}
	const blame = triage.Class("blame")
	for probe, row := range map[triage.Signal][]triage.Class{
		triage.Good:  {triage.Nobody, triage.Ours, triage.Ours, triage.CannotTell, triage.Nobody},
		triage.Slow:  {blame, blame, triage.Ours, blame, blame},
		triage.Bad:   {blame, blame, blame, blame, blame},
		triage.Blind: {triage.CannotTell, triage.CannotTell, triage.CannotTell, triage.CannotTell, triage.CannotTell},
		triage.Blank: {triage.CannotTell, triage.CannotTell, triage.CannotTell, triage.CannotTell, triage.CannotTell},
	} {
		for i, app := range apps() {
			for by, class := range blames {
				want := row[i]
				if want == blame {
					want = class
				}
				for _, page := range pages() {
					s := triage.Signals{Page: page, Probe: probe, App: app}
					if got := triage.Matrix(s, by); got != want {
						t.Errorf("%+v, the probe blames %s: %s, want %s", s, by, got, want)
					}
				}
			}
		}
	}
}

func wrong(name triage.Name, cause checks.Cause) triage.Step {
	return triage.Step{Name: name, Verdict: triage.Wrong, Cause: cause, Blame: cause.Blame(), Detail: "it is " + string(cause)}
}

func with(name triage.Name, verdict triage.Verdict) triage.Step {
	return triage.Step{Name: name, Verdict: verdict, Detail: string(verdict)}
}

func well(but ...triage.Step) triage.Walk {
	w := triage.Walk{}
	for _, name := range triage.Names() {
		step := with(name, triage.OK)
		for _, other := range but {
			if other.Name == name {
				step = other
			}
		}
		w.Steps = append(w.Steps, step)
	}
	return w
}

type judged struct {
	class    triage.Class
	cause    checks.Cause
	blame    checks.Blame
	branch   runbook.Branch
	severity checks.Severity
}

func TestWhatFollows(t *testing.T) {
	t.Parallel()
	slow := wrong(triage.Ping, checks.CauseSlow)
	slow.Verdict = triage.Degraded
	retiring := wrong(triage.ModelsList, checks.CauseModelGone)
	retiring.Verdict = triage.Degraded
	skippedPing := triage.Step{Name: triage.Ping, Verdict: triage.Skipped, Cause: checks.CauseBudget, Missed: true, Detail: "budget"}
	behind := []triage.Step{with(triage.ModelsList, triage.Skipped), with(triage.Ping, triage.Skipped)}
	none := with(triage.AppHealth, triage.Skipped)
	noApp := []triage.Step{none, with(triage.AppSmoke, triage.Skipped), with(triage.ErrorRate, triage.Skipped), with(triage.AppLog, triage.Skipped)}
	for name, tc := range map[string]struct {
		but  []triage.Step
		want judged
	}{
		"all well": {nil, judged{class: triage.Nobody, branch: runbook.Nobody}},
		"a name that does not resolve, users not known": {
			append([]triage.Step{wrong(triage.DNS, checks.CauseDNS)}, append(behind, noApp...)...),
			judged{triage.Network, checks.CauseDNS, checks.BlameNetwork, runbook.DNS, checks.P1},
		},
		"the reference host fails too: our own network, whatever the page says": {
			append([]triage.Step{wrong(triage.Connect, checks.CauseConnect), wrong(triage.OwnNetwork, checks.CauseConnect), with(triage.StatusPage, triage.Degraded)}, behind...),
			judged{triage.Network, checks.CauseConnect, checks.BlameLocal, runbook.LocalNetwork, checks.P2},
		},
		"a name that only a proxy resolves": {
			[]triage.Step{wrong(triage.DNS, checks.CauseDNS)}, judged{class: triage.Nobody, branch: runbook.Nobody},
		},
		"the reference host alone": {
			[]triage.Step{wrong(triage.OwnNetwork, checks.CauseConnect)}, judged{class: triage.Nobody, branch: runbook.Nobody},
		},
		"no key, and the provider is down": {
			[]triage.Step{wrong(triage.Key, checks.CauseConfig), wrong(triage.TLS, checks.CauseTLS), behind[0], behind[1]},
			judged{triage.Network, checks.CauseTLS, checks.BlameNetwork, runbook.TLS, checks.P2},
		},
		"no key": {
			[]triage.Step{wrong(triage.Key, checks.CauseConfig), behind[0], behind[1]},
			judged{triage.Ours, checks.CauseConfig, checks.BlameOurs, runbook.Configuration, checks.P3},
		},
		"no key here, but the agent has one": {
			[]triage.Step{wrong(triage.Key, checks.CauseConfig), behind[0]}, judged{class: triage.Nobody, branch: runbook.Nobody},
		},
		"a file that cannot be used": {
			[]triage.Step{wrong(triage.Configuration, checks.CauseConfig)},
			judged{triage.Ours, checks.CauseConfig, checks.BlameOurs, runbook.Configuration, checks.P3},
		},
		"a file that cannot be used, and the provider is down": {
			[]triage.Step{wrong(triage.Configuration, checks.CauseConfig), wrong(triage.ModelsList, checks.CauseServer), wrong(triage.Ping, checks.CauseServer)},
			judged{triage.Provider, checks.CauseServer, checks.BlameProvider, runbook.Server, checks.P2},
		},
		"the list fails alone": {
			[]triage.Step{wrong(triage.ModelsList, checks.CauseServer)},
			judged{triage.Provider, checks.CauseServer, checks.BlameProvider, runbook.Server, checks.P3},
		},
		"a slow answer": {[]triage.Step{slow}, judged{triage.Provider, checks.CauseSlow, checks.BlameProvider, runbook.Timeout, checks.P3}},
		"a slow answer, users not known": {
			append([]triage.Step{slow}, noApp...), judged{triage.Provider, checks.CauseSlow, checks.BlameProvider, runbook.Timeout, checks.P2},
		},
		"a slow answer, and the application is down": {
			[]triage.Step{slow, wrong(triage.AppHealth, checks.CauseAssertion)},
			judged{triage.Ours, checks.CauseAssertion, checks.BlameApplication, runbook.Application, checks.P1},
		},
		"the model retires soon": {
			append([]triage.Step{retiring}, noApp...), judged{triage.Ours, checks.CauseModelGone, checks.BlameConfig, "model-retiring", checks.P3},
		},
		"no budget": {
			[]triage.Step{skippedPing}, judged{class: triage.CannotTell, branch: "budget-exhausted", severity: checks.P3},
		},
		"no budget, and the application is down": {
			[]triage.Step{skippedPing, wrong(triage.AppSmoke, checks.CauseServer)}, judged{class: triage.CannotTell, branch: "budget-exhausted", severity: checks.P1},
		},
		"no key in this shell, and the application is down": {
			[]triage.Step{wrong(triage.Key, checks.CauseConfig), with(triage.Ping, triage.Skipped), wrong(triage.AppHealth, checks.CauseTimeout)},
			judged{class: triage.CannotTell, branch: runbook.CannotTell, severity: checks.P1},
		},
		"a file that this user may not read": {
			[]triage.Step{
				with(triage.Configuration, triage.Unknown), wrong(triage.Key, checks.CauseConfig), with(triage.ModelsList, triage.Skipped), with(triage.Ping, triage.Skipped),
			},
			judged{class: triage.CannotTell, branch: runbook.CannotTell, severity: checks.P3},
		},
		"a file that is wrong, and many calls of the application fail": {
			[]triage.Step{wrong(triage.Configuration, checks.CauseConfig), wrong(triage.ErrorRate, checks.CauseServer)},
			judged{triage.Ours, checks.CauseServer, checks.BlameApplication, runbook.Application, checks.P2},
		},
		"an agent that cannot be asked": {
			[]triage.Step{with(triage.Alerts, triage.Unknown)}, judged{class: triage.CannotTell, branch: runbook.CannotTell, severity: checks.P3},
		},
		"the application alone": {
			[]triage.Step{wrong(triage.AppHealth, checks.CauseAssertion), with(triage.StatusPage, triage.Degraded)},
			judged{triage.Ours, checks.CauseAssertion, checks.BlameApplication, runbook.Application, checks.P1},
		},
		"the application's calls fail": {
			[]triage.Step{wrong(triage.ErrorRate, checks.CauseServer)},
			judged{triage.Ours, checks.CauseServer, checks.BlameApplication, runbook.Application, checks.P2},
		},
		"no budget for the smoke test": {
			[]triage.Step{{Name: triage.AppSmoke, Verdict: triage.Skipped, Cause: checks.CauseBudget, Missed: true, Detail: "budget"}},
			judged{class: triage.CannotTell, branch: runbook.CannotTell, severity: checks.P3},
		},
		"a status page alone":           {[]triage.Step{with(triage.StatusPage, triage.Degraded)}, judged{class: triage.Nobody, branch: runbook.Nobody}},
		"a status page that is unknown": {[]triage.Step{with(triage.StatusPage, triage.Unknown)}, judged{class: triage.Nobody, branch: runbook.Nobody}},
		"an error rate that is unknown": {
			[]triage.Step{with(triage.ErrorRate, triage.Unknown)}, judged{class: triage.CannotTell, branch: runbook.CannotTell, severity: checks.P3},
		},
	} {
		w := well(tc.but...)
		c := triage.Judge(&w)
		if got := (judged{c.Class, c.Cause, c.Blame, c.Branch, c.Severity}); got != tc.want {
			t.Errorf("%s: %+v, want %+v (%s)", name, got, tc.want, c.Why)
		}
		if c.Why == "" {
			t.Errorf("%s: nothing says why", name)
		}
	}
}

// Whatever the cause of a failed ping is, its class, its branch and its severity are those of the table and of the page.
func TestEachCauseHasItsEnd(t *testing.T) {
	t.Parallel()
	for _, row := range checks.Causes() {
		if row.Blame == checks.BlameSkipped || row.Blame == checks.BlameOurs {
			continue
		}
		w := well(wrong(triage.Ping, row.Cause), with(triage.AppHealth, triage.Skipped), with(triage.AppSmoke, triage.Skipped),
			with(triage.ErrorRate, triage.Skipped), with(triage.AppLog, triage.Skipped))
		c := triage.Judge(&w)
		branch := runbook.Of(row.Cause, row.Blame, "")
		if c.Class != triage.ClassOf(row.Blame) || c.Cause != row.Cause || c.Branch != branch || c.Severity != branch.Page(runbook.Setting{}).Severity {
			t.Errorf("%s: %s, %s, %s", row.Cause, c.Class, c.Branch, c.Severity)
		}
		if branch == runbook.CannotTell || branch == runbook.Nobody {
			t.Errorf("%s has no end of its own", row.Cause)
		}
	}
}

func TestAlertsOfTheAgent(t *testing.T) {
	t.Parallel()
	open := triage.Step{Name: triage.Ping, Verdict: triage.Skipped, Cause: checks.CauseBreakerOpen, Missed: true, Detail: "breaker open"}
	for name, tc := range map[string]struct {
		ping  triage.Step
		alert triage.Alert
		want  triage.Class
	}{
		"of the past, while the probe is well":     {with(triage.Ping, triage.OK), triage.Alert{Rule: "api-down", Severity: checks.P1, Blame: checks.BlameProvider}, triage.Nobody},
		"of the application's traffic":             {with(triage.Ping, triage.OK), triage.Alert{Rule: "traffic-api-down", Severity: checks.P1, Blame: checks.BlameProvider, Traffic: true}, triage.Provider},
		"of the past, and no conversation was had": {with(triage.Ping, triage.Skipped), triage.Alert{Rule: "api-down", Severity: checks.P1, Blame: checks.BlameProvider}, triage.Provider},
		"of what is spent":                         {with(triage.Ping, triage.OK), triage.Alert{Rule: "cost-spike", Severity: checks.P3, Blame: checks.BlameApplication}, triage.Ours},
		"behind an open breaker":                   {open, triage.Alert{Rule: "api-down", Severity: checks.P1, Blame: checks.BlameProvider}, triage.Provider},
		"the open breaker itself says too little":  {open, triage.Alert{Rule: "circuit-open", Severity: checks.P2}, triage.CannotTell},
	} {
		w := well(tc.ping)
		w.Free = tc.ping.Cause == checks.CauseNone
		w.Alerts = []triage.Alert{tc.alert}
		c := triage.Judge(&w)
		if c.Class != tc.want {
			t.Errorf("%s: %s, want %s", name, c.Class, tc.want)
		}
		if !strings.Contains(c.Why+strings.Join(c.Also, " "), tc.alert.Rule) {
			t.Errorf("%s: the alert is not told: %s %v", name, c.Why, c.Also)
		}
	}
}

// An application that is down as well does not hide what the agent knows of the provider; what it knows of the application
// does not answer for the provider.
func TestAlertsWhileTheApplicationIsDown(t *testing.T) {
	t.Parallel()
	open := triage.Step{Name: triage.Ping, Verdict: triage.Skipped, Cause: checks.CauseBreakerOpen, Missed: true, Detail: "breaker open"}
	for blame, want := range map[checks.Blame]triage.Class{
		checks.BlameProvider: triage.Provider, checks.BlameAccount: triage.Account, checks.BlameLocal: triage.Network, checks.BlameApplication: triage.CannotTell,
	} {
		w := well(open, wrong(triage.AppHealth, checks.CauseAssertion))
		w.Alerts = []triage.Alert{{Rule: "api-slow", Severity: checks.P3, Blame: blame}}
		if c := triage.Judge(&w); c.Class != want || c.Severity != checks.P1 {
			t.Errorf("%s: %s, %s, want %s, P1", blame, c.Class, c.Severity, want)
		}
	}
}

func TestWhatWasStoppedIsUnknown(t *testing.T) {
	t.Parallel()
	w := well()
	w.Interrupted = true
	if c := triage.Judge(&w); c.Class != triage.CannotTell || c.Branch != runbook.CannotTell {
		t.Errorf("%s, %s", c.Class, c.Branch)
	}
}
