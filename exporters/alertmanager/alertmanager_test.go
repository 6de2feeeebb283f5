package alertmanager_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/alertmanager"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
)

const key = "canary-31fe-alertmanager-key"

// posted is one alert of a request.
type posted struct {
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
	EndsAt   time.Time         `json:"endsAt"`
}

// replica is an Alertmanager by hand: an alert is its labels, and over when its end has passed.
type replica struct {
	url    string
	answer func() int

	mu       sync.Mutex // guards the rest
	events   []exportertest.Told
	firing   map[string]bool // by rule and severity
	requests [][]posted
	header   http.Header
}

func newReplica(t *testing.T, answer func() int) *replica {
	t.Helper()
	r := &replica{answer: answer, firing: map[string]bool{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *replica) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	if status := r.answer(); status != 0 {
		w.WriteHeader(status)
		return
	}
	var alerts []posted
	if err := json.Unmarshal(body, &alerts); err != nil || req.URL.Path != "/api/v2/alerts" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.header = req.Header.Clone()
	r.requests = append(r.requests, alerts)
	for _, a := range alerts {
		r.take(a)
	}
}

func (r *replica) take(a posted) {
	rule := a.Labels["alertname"]
	key := rule + " " + a.Labels["severity"]
	event := "opened"
	switch over := !a.EndsAt.After(time.Now()); {
	case over && !r.firing[key], !over && r.firing[key]:
		return
	case over:
		delete(r.firing, key)
		r.events = append(r.events, exportertest.Told{Event: "resolved", Rule: rule})
		return
	}
	if n := len(r.events); n > 0 && r.events[n-1] == (exportertest.Told{Event: "resolved", Rule: rule}) && a.Labels["severity"] == "P1" {
		r.events, event = r.events[:n-1], "changed" // the old severity ended in the same request
	}
	r.firing[key] = true
	r.events = append(r.events, exportertest.Told{Event: event, Rule: rule})
}

func (r *replica) told() []exportertest.Told {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *replica) last() []posted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests[len(r.requests)-1]
}

func well() int { return 0 }

func TestTheKindKeepsItsPromises(t *testing.T) {
	exportertest.Run(t, exportertest.Options{
		Kind: alertmanager.Kind(), Key: key, Page: "../../docs/exporters/alertmanager.md",
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			url := exportertest.HTTPBackend(t, fault, nil)
			return exportertest.Case{With: "urls: [\"" + url + "\", \"" + url + "/\"]\ntoken: {env: KEY}\n"}, true
		},
		Classes: map[exportertest.Fault]exportertest.Class{exportertest.TooLarge: exportertest.Poison}, // alert by alert
		Refused: map[string]string{
			"no replica": "urls: []\n", "a URL that is none": "urls: [\"alertmanager:9093\"]\n", "a password in the URL": "urls: [\"http://u:p@a:9093\"]\n",
			"a query": "urls: [\"http://a:9093?x=y\"]\n", "half of basic authentication": "urls: [\"http://a:9093\"]\nusername: x\n",
			"both ways":                     "urls: [\"http://a:9093\"]\nusername: x\npassword: {env: A}\ntoken: {env: B}\n",
			"an end before the next repeat": "urls: [\"http://a:9093\"]\nends_after: 1m\n", "no timeout": "urls: [\"http://a:9093\"]\ntimeout: 0s\n",
			"a severity that is none": "urls: [\"http://a:9093\"]\nmatch: {severity: [P1, high]}\n",
			"half a client":           "urls: [\"http://a:9093\"]\nkey_file: a.pem\n",
		},
	})
}

func TestAlertmanagerIsToldOnce(t *testing.T) {
	exportertest.RunNotifier(t, exportertest.Notifier{
		Kind: alertmanager.Kind(), Key: key,
		Sink: func(t *testing.T, answer func() int) (exportertest.Case, func() []exportertest.Told) {
			t.Helper()
			r := newReplica(t, answer)
			return exportertest.Case{With: "urls: [\"" + r.url + "\"]\ntoken: {env: KEY}\n"}, r.told
		},
	})
}

func build(t *testing.T, with string) exporters.Exporter {
	t.Helper()
	e, err := alertmanager.Kind().New(exportertest.Decoder(with, key), exporters.Env{Name: "am"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustExport(t *testing.T, e exporters.Exporter, records ...checks.Record) {
	t.Helper()
	if outcome, err := e.Export(t.Context(), records); err != nil || len(outcome.Rejected) > 0 {
		t.Fatalf("%+v, %v, want all accepted", outcome, err)
	}
}

func refresh(t *testing.T, e exporters.Exporter, open ...checks.Alert) {
	t.Helper()
	if _, err := e.(exporters.Refresher).Refresh(t.Context(), open); err != nil { //nolint:forcetypeassert // it is one
		t.Fatal(err)
	}
}

func TestAnOpenAlertIsRepeatedWithAnEndInTheFuture(t *testing.T) {
	r := newReplica(t, well)
	e := build(t, "urls: [\""+r.url+"\"]\n")
	records := exportertest.Alerts(time.Now().Add(-time.Minute), 3, true)
	mustExport(t, e, records...)
	refresh(t, e, *records[0].Alert, *records[1].Alert, *records[2].Alert)
	all := r.last()
	if len(all) != 3 {
		t.Fatalf("%d alerts repeated, want 3", len(all))
	}
	for _, a := range all {
		if left := time.Until(a.EndsAt); left < 2*time.Minute || left > 5*time.Minute || !a.StartsAt.Equal(records[0].Alert.Since) {
			t.Errorf("from %s, ends in %s; want its own start and about four minutes", a.StartsAt, left)
		}
		if a.Labels["alertname"] != "api-down" || a.Labels["severity"] != "P1" || !strings.HasPrefix(a.Labels["check"], "chat-") {
			t.Errorf("labels %v", a.Labels)
		}
	}
}

func TestMoreSevereEndsTheOldLabelsAndOpensTheNew(t *testing.T) {
	r := newReplica(t, well)
	e := build(t, "urls: [\""+r.url+"\"]\n")
	records := exportertest.Alerts(time.Now().Add(-time.Minute), 1, true)
	records[0].Alert.Severity = checks.P2
	worse := *records[0].Alert
	worse.Severity, worse.At = checks.P1, worse.At.Add(time.Second)
	mustExport(t, e, records...)
	mustExport(t, e, checks.Record{ID: "x", At: worse.At, Alert: &worse})
	got := r.last()
	if len(got) != 2 || got[0].Labels["severity"] != "P2" || got[0].EndsAt.After(time.Now()) || got[1].Labels["severity"] != "P1" || got[1].EndsAt.Before(time.Now()) {
		t.Fatalf("posted %+v, want the end of P2 and the beginning of P1", got)
	}
	end := worse
	end.State, end.At = checks.AlertResolved, worse.At.Add(time.Second)
	mustExport(t, e, checks.Record{ID: "y", At: end.At, Alert: &end})
	if len(r.firing) != 0 {
		t.Errorf("still firing: %v", r.firing)
	}
}

func TestAReplicaThatIsAwayHearsOfItLater(t *testing.T) {
	var mu sync.Mutex
	status := http.StatusServiceUnavailable
	alive, away := newReplica(t, well), newReplica(t, func() int {
		mu.Lock()
		defer mu.Unlock()
		return status
	})
	e := build(t, "urls: [\""+away.url+"\", \""+alive.url+"\"]\nusername: u\npassword: {env: KEY}\n")
	records := exportertest.Alerts(time.Now().Add(-time.Minute), 1, true)
	mustExport(t, e, records...)
	if len(alive.told()) != 1 || len(away.told()) != 0 {
		t.Fatalf("told %v and %v, want only the one that is there", alive.told(), away.told())
	}
	mu.Lock()
	status = 0
	mu.Unlock()
	refresh(t, e, *records[0].Alert)
	if len(alive.told()) != 1 || len(away.told()) != 1 {
		t.Errorf("told %v and %v, want both", alive.told(), away.told())
	}
	if got := away.header.Get("Authorization"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("authorization %q, want basic", got)
	}
}

func TestWhatMayWorkLaterAtOneReplicaIsNotGivenUp(t *testing.T) {
	answer := func(status int) func() int { return func() int { return status } }
	for name, tt := range map[string]struct {
		one, other int
		want       exportertest.Class
	}{
		"one refuses, one is busy":        {400, 429, exportertest.Retry},
		"one refuses, one wants a key":    {400, 401, exportertest.Hold},
		"one is broken, one wants a key":  {500, 401, exportertest.Retry},
		"both want a key":                 {401, 403, exportertest.Hold},
		"one refuses, one has taken them": {400, 0, exportertest.Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newReplica(t, answer(tt.one)), newReplica(t, answer(tt.other))
			e := build(t, "urls: [\""+a.url+"\", \""+b.url+"\"]\n")
			_, err := e.Export(t.Context(), exportertest.Alerts(time.Now(), 1, true))
			if got := exportertest.ClassOf(err); got != tt.want {
				t.Errorf("%v (%s), want %s", err, got, tt.want)
			}
		})
	}
}
