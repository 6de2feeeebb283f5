package datadog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
)

// transition is one of the alert "api-down" of the check chat.
func transition(previous, state checks.AlertState, severity checks.Severity, at time.Time) checks.Record {
	return checks.Record{ID: fmt.Sprintf("%s-%s-%s", previous, state, severity), At: at, Alert: &checks.Alert{
		Rule: "api-down", Fingerprint: "f00d", State: state, Previous: previous, Severity: severity, At: at,
		Labels: map[string]string{"check": "chat"}, Summary: "3 runs failed", Impact: "no chat", Action: "look", Runbook: "api-down",
	}}
}

func altered(rec checks.Record, change func(a *checks.Alert)) checks.Record {
	change(rec.Alert)
	return rec
}

func mute(a *checks.Alert)     { a.Muted = "silence/01K: deploy" }
func reminder(a *checks.Alert) { a.Reminder = true }

// event reads the fields of DogStatsD's line of an event.
func event(t *testing.T, line string) (title, text, priority, kind string) {
	t.Helper()
	var titleLen, textLen int
	if _, err := fmt.Sscanf(line, "_e{%d,%d}:", &titleLen, &textLen); err != nil {
		t.Fatalf("%q is no event: %v", line, err)
	}
	rest := line[strings.Index(line, "}:")+2:]
	title, rest = rest[:titleLen], rest[titleLen+1:]
	text, rest = rest[:textLen], rest[textLen:]
	for field := range strings.SplitSeq(rest, "|") {
		if value, ok := strings.CutPrefix(field, "p:"); ok {
			priority = value
		}
		if value, ok := strings.CutPrefix(field, "t:"); ok {
			kind = value
		}
	}
	return title, text, priority, kind
}

func TestEventsOfTransitions(t *testing.T) {
	hermetic(t)
	at := recently()
	tests := map[string]struct {
		record      checks.Record
		want        string // title, priority, type
		wantInText  string
		wantNoCheck bool
	}{
		"fires":           {transition("pending", checks.AlertFiring, checks.P2, at), "[P2] api-down is firing/normal/error", "3 runs failed\\nimpact: no chat\\naction: look\\nrunbook: https://github.com/windsock-monitor/windsock/blob/main/docs/runbook/api-down.md\\n", false},
		"pending":         {transition("", checks.AlertPending, checks.P2, at), "[P2] api-down is pending/low/info", "impact: no chat", true},
		"comes to nought": {transition(checks.AlertPending, checks.AlertResolved, checks.P2, at), "[P2] api-down is resolved/low/success", "3 runs failed", false},
		"is over":         {transition(checks.AlertFiring, checks.AlertResolved, checks.P2, at), "[P2] api-down is resolved/normal/success", "3 runs failed", false},
		"no data":         {transition(checks.AlertFiring, checks.AlertNoData, checks.P4, at), "[P4] api-down has no data/normal/warning", "3 runs failed", false},
		"muted":           {altered(transition("pending", checks.AlertFiring, checks.P1, at), mute), "[P1] api-down is firing, muted/low/info", "muted: silence/01K: deploy", true},
		"reminder":        {altered(transition(checks.AlertFiring, checks.AlertFiring, checks.P3, at), reminder), "[P3] api-down is firing, a reminder/normal/warning", "3 runs failed", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			a := listenUnix(t, path)
			export(t, build(t, "address: unix://"+path+"\n", exporters.Env{}), tt.record)
			lines := a.until(t, func(lines []string) bool {
				return len(having(lines, "_e{")) == 1 && (tt.wantNoCheck || len(having(lines, "_sc|")) == 1)
			})
			title, text, priority, kind := event(t, having(lines, "_e{")[0])
			if got := title + "/" + priority + "/" + kind; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !strings.Contains(text, tt.wantInText) {
				t.Errorf("got the text %q, want %q in it", text, tt.wantInText)
			}
			if got := having(lines, "_sc|"); tt.wantNoCheck && len(got) > 0 {
				t.Errorf("got the service check %q, want none", got)
			}
		})
	}
}

// standing is what the service check says last, by its tags.
func standing(lines []string) map[string]string {
	all := map[string]string{}
	for _, l := range having(lines, "_sc|windsock.alert|") {
		fields := strings.Split(l, "|")
		all[strings.TrimPrefix(fields[4], "#")] = fields[2]
	}
	return all
}

func TestAnAlertHasOneServiceCheckForItsLife(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	e := build(t, "address: unix://"+path+"\n", exporters.Env{})
	at := recently()
	open, firing := checks.AlertPending, checks.AlertFiring
	steps := []struct {
		record checks.Record
		want   string
	}{
		{transition(open, firing, checks.P3, at), "1"},
		{transition(firing, firing, checks.P2, at), "2"},
		{altered(transition(firing, firing, checks.P1, at), mute), "2"},
		{transition(firing, checks.AlertNoData, checks.P1, at), "3"},
		{altered(transition(checks.AlertNoData, checks.AlertResolved, checks.P1, at), mute), "0"},
	}
	seen := 0
	for _, step := range steps {
		export(t, e, step.record)
		lines := a.until(t, func(lines []string) bool { return len(having(lines, "_e{")) > seen })
		seen++
		a.until(t, func(lines []string) bool { return standing(lines)["rule:api-down,check:chat"] == step.want })
		if diff := cmp.Diff(1, len(standing(lines))); diff != "" {
			t.Errorf("%s: service checks %v, want one", step.record.ID, standing(lines))
		}
	}
}

func TestRefreshSaysWhatIsOpenAndWhatIsOver(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	long := time.Now().Add(-50 * time.Minute).UTC()
	fires := transition(checks.AlertPending, checks.AlertFiring, checks.P1, recently())
	quiet := altered(transition(checks.AlertPending, checks.AlertFiring, checks.P1, recently()), mute)
	quiet.Alert.Fingerprint, quiet.Alert.Rule = "beef", "quiet"
	first := build(t, "address: unix://"+path+"\n", exporters.Env{})
	export(t, first, fires, quiet)
	state := refresh(t, first, *fires.Alert, *quiet.Alert)
	a.until(t, func(lines []string) bool {
		return len(having(lines, "alert.state:2|g")) == 4 && len(having(lines, "_sc|windsock.alert|2")) == 2
	})

	// The agent was down while it ended. The end is told late: too late for a service check of that time.
	second := build(t, "address: unix://"+path+"\n", exporters.Env{State: state})
	out := export(t, second, transition(checks.AlertFiring, checks.AlertResolved, checks.P1, long))
	refresh(t, second)
	lines := a.until(t, func(lines []string) bool { return standing(lines)["rule:api-down,check:chat"] == "0" })
	if got := standing(lines); len(got) != 1 {
		t.Errorf("service checks %v, want none of the muted one", got)
	}
	if out.RejectedPoints != 1 {
		t.Errorf("%d parts were too old, want 1", out.RejectedPoints)
	}
	before := len(a.until(t, func([]string) bool { return true }))
	refresh(t, second)
	export(t, second, ran("last", recently(), checks.Pass("")))
	lines = a.until(t, func(lines []string) bool { return len(having(lines, "windsock.check|0")) == 1 })
	if got := having(lines[before:], "windsock.alert|"); len(got) != 0 {
		t.Errorf("after the end %q was told again", got)
	}
}

func refresh(t *testing.T, e exporters.Exporter, open ...checks.Alert) []byte {
	t.Helper()
	r, ok := e.(exporters.Refresher)
	if !ok {
		t.Fatal("the exporter does not refresh")
	}
	state, err := r.Refresh(t.Context(), open)
	if err != nil {
		t.Fatalf("refreshing: %v", err)
	}
	return state
}

func TestADrillIsMarked(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	rec := transition(checks.AlertPending, checks.AlertFiring, checks.P1, recently())
	rec.Alert.Labels[checks.LabelDrill] = "5xx"
	export(t, build(t, "address: unix://"+path+"\n", exporters.Env{}), rec)
	lines := a.until(t, func(lines []string) bool { return len(having(lines, "_e{")) == 1 })
	if title, _, _, _ := event(t, having(lines, "_e{")[0]); title != "DRILL [P1] api-down is firing" {
		t.Errorf("got the title %q", title)
	}
	if gauges := having(lines, "alert.state:"); len(gauges) > 0 {
		t.Errorf("got %v, want no gauge of a drill", gauges)
	}
}

func TestAnAlertWithLongLabelsStillMakesAnEvent(t *testing.T) {
	hermetic(t)
	path := socketPath(t)
	a := listenUnix(t, path)
	rec := transition(checks.AlertPending, checks.AlertFiring, checks.P1, recently())
	for i := range 50 {
		rec.Alert.Labels[fmt.Sprintf("label%d", i)] = strings.Repeat("v", 500)
	}
	rec.Alert.Summary, rec.Alert.Impact = strings.Repeat("s", 5000), strings.Repeat("|_e{1,1}:x\n", 50)
	export(t, build(t, "address: unix://"+path+"\nmax_message_bytes: 512\n", exporters.Env{}), rec)
	lines := a.until(t, func(lines []string) bool { return len(having(lines, "_e{")) == 1 })
	if title, _, _, _ := event(t, having(lines, "_e{")[0]); title != "[P1] api-down is firing" {
		t.Errorf("got the title %q", title)
	}
}
