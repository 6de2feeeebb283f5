package pagerduty_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/pagerduty"
)

const (
	key      = "R0canary4711Zq8fLm2pRtVw9xYb3cDe"
	page     = "../../docs/exporters/pagerduty.md"
	firing   = checks.AlertFiring
	resolved = checks.AlertResolved
)

// event is what PagerDuty reads, as its reference has it.
type event struct {
	RoutingKey  string   `json:"routing_key"`
	EventAction string   `json:"event_action"`
	DedupKey    string   `json:"dedup_key"`
	Payload     *payload `json:"payload"`
	Links       []link   `json:"links"`
	Client      string   `json:"client"`
}

type payload struct {
	Summary   string         `json:"summary"`
	Source    string         `json:"source"`
	Severity  string         `json:"severity"`
	Timestamp string         `json:"timestamp"`
	Component string         `json:"component"`
	Group     string         `json:"group"`
	Class     string         `json:"class"`
	Details   map[string]any `json:"custom_details"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// world is a PagerDuty that refuses what the real one would, and can say other things.
type world struct {
	t      *testing.T
	url    string
	mu     sync.Mutex // guards all below
	events []event
	answer func(w http.ResponseWriter) bool // true: it has answered
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL + "/v2/enqueue"
	return w
}

func (w *world) say(answer func(w http.ResponseWriter) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

func (w *world) seen() []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]event{}, w.events...)
}

func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answer != nil && w.answer(out) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) > 512_000 {
		w.t.Errorf("a body of %d bytes: %v", len(body), err)
	}
	var e event
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		w.t.Errorf("the event is not of the Events API: %v", err)
	}
	if fault := wrong(&e); fault != "" {
		w.t.Errorf("PagerDuty would refuse the event: %s\n%.500s", fault, body)
	}
	w.events = append(w.events, e)
	out.WriteHeader(http.StatusAccepted)
	_, _ = fmt.Fprintf(out, `{"status":"success","message":"Event processed","dedup_key":%q}`, e.DedupKey)
}

func wrong(e *event) string {
	switch n := utf8.RuneCountInString(e.DedupKey); {
	case e.RoutingKey != key:
		return "the routing key is another"
	case n == 0 || n > 255:
		return fmt.Sprintf("a dedup_key of %d characters", n)
	case e.EventAction == "resolve":
		return ""
	case e.EventAction != "trigger" && e.EventAction != "acknowledge":
		return "the action " + e.EventAction
	case e.Payload == nil || e.Payload.Summary == "" || e.Payload.Source == "" || utf8.RuneCountInString(e.Payload.Summary) > 1024:
		return "no payload, or a summary that is too long"
	case !strings.Contains(" critical error warning info ", " "+e.Payload.Severity+" "):
		return "the severity " + e.Payload.Severity
	}
	if _, err := time.Parse(time.RFC3339, e.Payload.Timestamp); err != nil {
		return err.Error()
	}
	return ""
}

func (w *world) with() string { return "routing_key: {env: K}\nurl: " + w.url + "\n" }

func build(t *testing.T, with, secret string, state []byte) exporters.Exporter {
	t.Helper()
	return buildIn(t, with, secret, exporters.Env{State: state})
}

func buildIn(t *testing.T, with, secret string, env exporters.Env) exporters.Exporter {
	t.Helper()
	env.Name, env.Version, env.Instance, env.Location = "oncall", "1.2.3", "i-1", "par1"
	e, err := pagerduty.Kind().New(exportertest.Decoder(with, secret), env)
	if err != nil {
		t.Fatalf("building with %q: %v", with, err)
	}
	t.Cleanup(func() {
		if c, ok := e.(io.Closer); ok {
			_ = c.Close()
		}
	})
	return e
}

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func alert(rule string, state checks.AlertState, severity checks.Severity, minutes int) *checks.Alert {
	return &checks.Alert{
		Rule: rule, Fingerprint: "f-" + rule, State: state, Previous: firing, Severity: severity, Blame: checks.BlameProvider,
		Since: noon(), At: noon().Add(time.Duration(minutes) * time.Minute), Value: 6.25, Threshold: 5,
		Labels: map[string]string{"check": "chat", "provider": "mistral"}, Summary: "3 of 3 runs of chat failed",
		Impact: "nobody gets an answer", Action: "look at the status page", Runbook: "api-down", Incident: "inc-1",
	}
}

func records(alerts ...*checks.Alert) []checks.Record {
	var all []checks.Record
	for i, a := range alerts {
		all = append(all, checks.Record{ID: fmt.Sprintf("%s-%d-%s", a.Rule, i, a.At.Format(time.TimeOnly)), At: a.At, Alert: a})
	}
	return all
}

func send(t *testing.T, e exporters.Exporter, alerts ...*checks.Alert) []byte {
	t.Helper()
	out, err := e.Export(t.Context(), records(alerts...))
	if err != nil || len(out.Rejected) > 0 {
		t.Fatalf("sending: %v, rejected %v", err, out.Rejected)
	}
	return out.State
}

func TestTheRunbookIsTheTeamsWhereItHasOne(t *testing.T) {
	for want, more := range map[string]string{
		"https://wiki.example/api-down":   "",
		"https://pages.example/#api-down": "runbook_url: https://pages.example/#\n",
	} {
		w := newWorld(t)
		send(t, buildIn(t, w.with()+more, key, exporters.Env{Runbooks: "https://wiki.example/"}), alert("api-down", firing, checks.P1, 2))
		if got := w.seen(); len(got) != 1 || len(got[0].Links) != 1 || got[0].Links[0].Href != want {
			t.Errorf("no link to %s in %+v", want, got)
		}
	}
}

func TestAnEventSaysWhatAResponderNeeds(t *testing.T) {
	w := newWorld(t)
	send(t, build(t, w.with(), key, nil), alert("api-down", firing, checks.P1, 2))
	want := []event{{
		RoutingKey: key, EventAction: "trigger", DedupKey: "windsock/i-1/incident=inc-1", Client: "Windsock",
		Payload: &payload{
			Summary: "[P1] api-down is firing: 3 of 3 runs of chat failed", Source: "par1", Severity: "critical",
			Timestamp: "2026-11-23T12:02:00Z", Component: "chat", Group: "incident=inc-1", Class: "api-down",
			Details: map[string]any{
				"rule": "api-down", "severity": "P1", "state": "firing", "summary": "3 of 3 runs of chat failed",
				"impact": "nobody gets an answer", "action": "look at the status page", "value": 6.25, "threshold": 5.0,
				"blame": "provider", "since": "2026-11-23T12:00:00Z", "next_update": "2026-11-23T12:15:00Z",
				"incident_commander": "not yet named", "incident": "inc-1", "runbook": "api-down",
				"labels": []any{"check=chat", "provider=mistral"},
			},
		},
		Links: []link{{"https://github.com/windsock-monitor/windsock/blob/main/docs/runbook/api-down.md", "Runbook api-down"}},
	}}
	if diff := cmp.Diff(want, w.seen()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestAnIncidentIsOnePagerDutyAlert(t *testing.T) {
	w := newWorld(t)
	e := build(t, w.with()+"severity: {P3: info}\n", key, nil)
	state := send(t, e, alert("high-latency", firing, checks.P3, 0))
	send(t, e, alert("api-down", firing, checks.P2, 1))
	e = build(t, w.with()+"severity: {P3: info}\n", key, state) // a restart that has forgotten the second: it is told again
	send(t, e, alert("api-down", firing, checks.P2, 1))
	send(t, e, alert("api-down", firing, checks.P1, 2))
	reminder := alert("api-down", firing, checks.P1, 30)
	reminder.Reminder = true
	send(t, e, reminder)
	taken := alert("api-down", firing, checks.P1, 40)
	taken.Reminder, taken.Commander = true, "a.turing"
	send(t, e, taken)
	send(t, e, alert("api-down", resolved, checks.P1, 50))
	send(t, e, alert("high-latency", resolved, checks.P3, 51))
	var got []string
	for _, e := range w.seen() {
		line := e.EventAction
		if e.Payload != nil {
			line += fmt.Sprintf(" %s %s %v %v", e.Payload.Severity, e.Payload.Class, e.Payload.Details["changed"], e.Payload.Details["reminder"])
		}
		got = append(got, line)
		if e.DedupKey != "windsock/i-1/incident=inc-1" {
			t.Errorf("%s has the key %q", line, e.DedupKey)
		}
	}
	want := []string{
		"trigger info high-latency <nil> <nil>", "trigger error api-down <nil> <nil>", "trigger error api-down <nil> <nil>",
		"trigger critical api-down severity of api-down from P2 to P1 <nil>", "trigger critical api-down <nil> true",
		"acknowledge critical api-down <nil> true", "resolve",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestEventsAreBounded(t *testing.T) {
	w := newWorld(t)
	var all []*checks.Alert
	for i := range 120 {
		bad := strings.Repeat("\x00ü\xff<", 3000)
		a := alert(fmt.Sprintf("%d%s", i, bad), firing, checks.Severity(bad), 0)
		a.Summary, a.Impact, a.Action, a.Diagnosis, a.Runbook, a.Incident = bad, bad, bad, bad, "https://x.example/"+bad, bad
		a.Labels = map[string]string{}
		for j := range 200 {
			a.Labels[fmt.Sprintf("%d%s", j, bad)] = bad
		}
		all = append(all, a)
	}
	e := build(t, w.with(), key, nil)
	send(t, e, all...)
	if len(w.seen()) == 0 {
		t.Error("nothing was sent")
	}
}

func TestWhatPagerDutySays(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   exportertest.Class
	}{
		"a key nobody knows":  {400, `{"status":"invalid event","message":"Event object is invalid","errors":["Invalid routing key ` + key + `"]}`, exportertest.Hold},
		"403":                 {403, "", exportertest.Hold},
		"404":                 {404, "", exportertest.Hold},
		"429":                 {429, "", exportertest.Retry},
		"500":                 {500, "oops " + key, exportertest.Retry},
		"HTML with 200":       {200, "<html>log in, " + key + "</html>", exportertest.Retry},
		"nothing with 200":    {200, "", exportertest.Retry},
		"another's JSON":      {202, `{"ok":true}`, exportertest.Retry},
		"a redirect to a key": {302, key, exportertest.Hold},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.say(func(out http.ResponseWriter) bool {
				out.Header().Set("Retry-After", "3600")
				out.WriteHeader(tt.status)
				_, _ = io.WriteString(out, tt.body)
				return true
			})
			e, batch := build(t, w.with(), key, nil), records(alert("api-down", firing, checks.P1, 0))
			_, err := e.Export(t.Context(), batch)
			if got := exportertest.ClassOf(err); got != tt.want {
				t.Fatalf("got %v (%s), want %s", err, got, tt.want)
			}
			if form := checktest.Leak(err.Error(), key); form != "" {
				t.Errorf("the error holds the key (%s): %v", form, err)
			}
			if tt.status == 429 && exporters.RetryAfter(err) != time.Hour {
				t.Errorf("again after %s, want an hour", exporters.RetryAfter(err))
			}
			w.say(nil)
			if out, err := e.Export(t.Context(), batch); err != nil || len(out.Rejected) > 0 || len(w.seen()) != 1 {
				t.Errorf("then %v, rejected %v, %d events, want one", err, out.Rejected, len(w.seen()))
			}
		})
	}
}

func TestThereIsAKey(t *testing.T) {
	e, err := pagerduty.Kind().New(exportertest.Decoder("timeout: 5s\n", ""), exporters.Env{})
	if err == nil || e != nil || !strings.Contains(err.Error(), "routing_key") {
		t.Errorf("got %v, %v, want an error that names routing_key", e, err)
	}
	_, err = build(t, "routing_key: {env: K}\n", "", nil).Export(t.Context(), records(alert("a", firing, checks.P1, 0)))
	if exportertest.ClassOf(err) != exportertest.Hold {
		t.Errorf("without a value: %v, want Hold", err)
	}
}

func TestTheSuite(t *testing.T) {
	exportertest.Run(t, exportertest.Options{
		Kind: pagerduty.Kind(), Key: key, Page: page,
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			url := exportertest.HTTPBackend(t, fault, newWorld(t))
			return exportertest.Case{With: "routing_key: {env: K}\nurl: " + url + "/v2/enqueue\n"}, true
		},
		Classes: map[exportertest.Fault]exportertest.Class{exportertest.TooLarge: exportertest.Poison}, // alert by alert
		Refused: map[string]string{
			"a URL over http":          "routing_key: {env: K}\nurl: http://events.example/v2\n",
			"no URL":                   "routing_key: {env: K}\nurl: x\n",
			"a word of its own":        "routing_key: {env: K}\nseverity: {P1: fatal}\n",
			"a severity nobody knows":  "routing_key: {env: K}\nseverity: {P9: info}\n",
			"no bound":                 "routing_key: {env: K}\ntimeout: 0s\n",
			"a runbook of no URL":      "routing_key: {env: K}\nrunbook_url: wiki\n",
			"a route of no expression": "routing_key: {env: K}\nmatch: {check: \"~(\"}\n",
		},
	})
}

func TestTheSuiteOfTelling(t *testing.T) {
	exportertest.RunNotifier(t, exportertest.Notifier{Kind: pagerduty.Kind(), Key: key, Sink: func(t *testing.T, answer func() int) (exportertest.Case, func() []exportertest.Told) {
		t.Helper()
		w := newWorld(t)
		w.say(func(out http.ResponseWriter) bool {
			status := answer()
			if status != 0 {
				out.WriteHeader(status)
			}
			return status != 0
		})
		return exportertest.Case{With: w.with()}, w.told
	}})
}

func (w *world) told() []exportertest.Told {
	var all []exportertest.Told
	rules := map[string]string{}
	for _, e := range w.seen() {
		what := "resolved"
		if e.Payload != nil {
			what, rules[e.DedupKey] = "opened", e.Payload.Class
			if e.Payload.Details["changed"] != nil {
				what = "changed"
			} else if e.Payload.Details["reminder"] != nil {
				what = "reminder"
			}
		}
		all = append(all, exportertest.Told{Event: what, Rule: rules[e.DedupKey]})
	}
	return all
}

func TestADrillIsMarkedAndNotTheSameAlert(t *testing.T) {
	w := newWorld(t)
	e := build(t, w.with()+"group_by: [severity]\n", key, nil)
	drill := alert("api-down", firing, checks.P1, 0)
	drill.Fingerprint, drill.Labels[checks.LabelDrill] = "drill", "5xx"
	send(t, e, drill, alert("api-down", firing, checks.P1, 0))
	events := w.seen()
	if len(events) != 2 {
		t.Fatalf("got %d events, want 2", len(events))
	}
	if got := events[0].Payload.Summary; !strings.HasPrefix(got, "DRILL [P1] api-down is firing: ") {
		t.Errorf("got the summary %q, want it to begin with DRILL", got)
	}
	if events[0].DedupKey == events[1].DedupKey {
		t.Errorf("a drill and an outage have one key, %q", events[0].DedupKey)
	}
}
