package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/webhook"
)

const key = "canary-77aa-webhook-key"

// source is a secret with a value of its own.
type source string

func (s source) Read(context.Context) (string, error) { return string(s), nil }
func (s source) Renew(context.Context) (bool, error)  { return false, nil }
func (s source) Where() string                        { return "a test" }

// received is one request that the sink took.
type received struct {
	header http.Header
	body   []byte
}

// sink is a webhook's receiver.
type sink struct {
	url    string
	answer func(w http.ResponseWriter) bool // false: it has answered, and took nothing

	mu  sync.Mutex // guards got
	got []received
}

func newSink(t *testing.T, answer func(w http.ResponseWriter) bool) *sink {
	t.Helper()
	s := &sink{answer: answer}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if s.answer != nil && !s.answer(w) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, received{r.Header.Clone(), body})
}

func (s *sink) all() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.got...)
}

// params are those of the kind, with a URL and what a `with:` section adds.
func params(t *testing.T, url, with string) webhook.Params {
	t.Helper()
	p, err := checks.DecodeParams(exportertest.Decoder(with, key), webhook.Kind().Defaults.(webhook.Params)) //nolint:forcetypeassert // they are
	if err != nil && !strings.Contains(err.Error(), "url: no source") {
		t.Fatal(err)
	}
	p.URL = checks.NewSecret(source(url))
	return p
}

// kindOf is the kind with a URL that is given: a secret of a `with:` section is always the suite's key.
func kindOf(url func() string) exporters.Kind {
	kind := webhook.Kind()
	kind.New = func(d checks.Decoder, env exporters.Env) (exporters.Exporter, error) {
		p, err := checks.DecodeParams(d, webhook.Kind().Defaults.(webhook.Params)) //nolint:forcetypeassert // they are
		if err != nil {
			return nil, err
		}
		p.URL = checks.NewSecret(source(url()))
		e, err := webhook.New(p, env)
		if err != nil {
			return nil, err
		}
		return e, nil
	}
	return kind
}

const with = "url: {env: URL}\nsigning_secret: {env: KEY}\nsecret_headers: {Authorization: {env: KEY}}\n"

func TestTheKindKeepsItsPromises(t *testing.T) {
	url := ""
	exportertest.Run(t, exportertest.Options{
		Kind: kindOf(func() string { return url }), Key: key, Page: "../../docs/exporters/webhook.md",
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			url = exportertest.HTTPBackend(t, fault, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err != nil || !json.Valid(body) {
					t.Errorf("posted %q, want JSON", body)
				}
			})) + "/services/" + key
			return exportertest.Case{With: with}, true
		},
		Classes: map[exportertest.Fault]exportertest.Class{exportertest.TooLarge: exportertest.Poison}, // alert by alert
		Refused: map[string]string{
			"no url": "timeout: 1s\n", "a template that does not parse": with + "template: \"{{.Kind\"\n",
			"a template of a field that is none": with + "template: \"{{range .Alerts}}{{.Colour}}{{end}}\"\n",
			"a header of our own":                with + "headers: {Idempotency-Key: x}\n", "half a client": with + "cert_file: a.pem\n",
			"a negative bound": with + "max_alerts: -1\n", "no timeout": with + "timeout: 0s\n", "no content type": with + "content_type: \"\"\n",
			"a severity that is none": with + "match: {severity: P9}\n", "an expression that is none": with + "match: {check: \"~(\"}\n",
			"nothing to match": with + "match: {check: []}\n", "an empty group": with + "group_by: [\"\"]\n",
		},
	})
}

func TestPeopleAreToldOnce(t *testing.T) {
	url := ""
	exportertest.RunNotifier(t, exportertest.Notifier{
		Kind: kindOf(func() string { return url }), Key: key,
		Sink: func(t *testing.T, answer func() int) (exportertest.Case, func() []exportertest.Told) {
			t.Helper()
			s := newSink(t, func(w http.ResponseWriter) bool {
				status := answer()
				if status != 0 {
					w.WriteHeader(status)
				}
				return status == 0
			})
			url = s.url
			return exportertest.Case{With: with}, func() []exportertest.Told { return told(t, s) }
		},
	})
}

func told(t *testing.T, s *sink) []exportertest.Told {
	t.Helper()
	var all []exportertest.Told
	for _, r := range s.all() {
		var p struct {
			Alerts []struct {
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		}
		if err := json.Unmarshal(r.body, &p); err != nil {
			t.Fatal(err)
		}
		for _, a := range p.Alerts {
			all = append(all, exportertest.Told{Event: r.header.Get("X-Windsock-Kind"), Rule: a.Labels["alertname"]})
		}
	}
	return all
}

func export(t *testing.T, p webhook.Params, records ...checks.Record) (exporters.Outcome, error) {
	t.Helper()
	e, err := webhook.New(p, exporters.Env{Name: "hook", Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	return e.Export(t.Context(), records)
}

func mustExport(t *testing.T, p webhook.Params, records ...checks.Record) {
	t.Helper()
	if outcome, err := export(t, p, records...); err != nil || len(outcome.Rejected) > 0 {
		t.Fatalf("%+v, %v, want all accepted", outcome, err)
	}
}

func TestTheBodyIsAlertmanagersWebhookJSON(t *testing.T) {
	s := newSink(t, nil)
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	p := params(t, s.url, "external_url: http://agent.example\n")
	records := exportertest.Alerts(at, 2, false)
	end := *records[0].Alert
	end.State, end.At = checks.AlertResolved, at.Add(time.Minute)
	mustExport(t, p, append(records, checks.Record{ID: "x", At: end.At, Alert: &end})...)
	got := s.all()
	if len(got) != 2 {
		t.Fatalf("%d messages, want one for the two that opened and one for the end", len(got))
	}
	annotations := func(extra ...string) map[string]any {
		all := map[string]any{"summary": "chat failed 3 times in a row", "blame": "provider", "incident": "01KINCIDENT", "runbook": "api-down", "runbook_url": exporters.Runbooks + "api-down.md", "value": "3", "threshold": "3"}
		for i := 0; i < len(extra); i += 2 {
			all[extra[i]] = extra[i+1]
		}
		return all
	}
	alert := func(status, check, fingerprint, ends string) map[string]any {
		return map[string]any{
			"status": status, "labels": map[string]any{"alertname": "api-down", "severity": "P1", "check": check}, "annotations": annotations(),
			"startsAt": "2026-11-23T11:59:00Z", "endsAt": ends, "generatorURL": "http://agent.example", "fingerprint": fingerprint,
		}
	}
	const never = "0001-01-01T00:00:00Z"
	body := func(status string, common map[string]any, alerts ...any) map[string]any {
		return map[string]any{
			"version": "4", "groupKey": "incident=01KINCIDENT", "truncatedAlerts": 0.0, "status": status, "receiver": "hook",
			"groupLabels": map[string]any{}, "commonLabels": common, "commonAnnotations": annotations(), "externalURL": "http://agent.example", "alerts": alerts,
		}
	}
	want := []map[string]any{
		body("firing", map[string]any{"alertname": "api-down", "severity": "P1"}, alert("firing", "chat-0", "f0", never), alert("firing", "chat-1", "f1", never)),
		body("resolved", map[string]any{"alertname": "api-down", "severity": "P1", "check": "chat-0"}, alert("resolved", "chat-0", "f0", "2026-11-23T12:01:00Z")),
	}
	for i := range want {
		var made map[string]any
		if err := json.Unmarshal(got[i].body, &made); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[i], made); diff != "" {
			t.Errorf("message %d (-want +got):\n%s", i, diff)
		}
	}
	if a, b := got[0].header.Get("Idempotency-Key"), got[1].header.Get("Idempotency-Key"); len(a) != 32 || a == b {
		t.Errorf("keys %q and %q, want one of 32 characters each", a, b)
	}
}

func TestTheSignatureIsOverTimestampAndBody(t *testing.T) {
	s := newSink(t, nil)
	mustExport(t, params(t, s.url, "url: {env: URL}\nsigning_secret: {env: KEY}\n"), exportertest.Alerts(time.Now(), 1, false)...)
	got := s.all()[0]
	timestamp := got.header.Get("X-Windsock-Timestamp")
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(mac, timestamp+"."+string(got.body))
	if want := "v1=" + hex.EncodeToString(mac.Sum(nil)); timestamp == "" || got.header.Get("X-Windsock-Signature") != want {
		t.Errorf("signature %q at %q, want %q", got.header.Get("X-Windsock-Signature"), timestamp, want)
	}
}

func TestTheKeyOfAMessageIsTheSameWhenItIsSentAgain(t *testing.T) {
	var first []string
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		first = append(first, r.Header.Get("Idempotency-Key"))
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	at := time.Now()
	for range 2 {
		if _, err := export(t, params(t, server.URL, ""), exportertest.Alerts(at, 2, false)...); exportertest.ClassOf(err) != exportertest.Retry {
			t.Fatalf("%v, want a retry", err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(first) != 2 || first[0] != first[1] || first[0] == "" {
		t.Errorf("keys %q, want the same twice", first)
	}
}

func TestATemplateMakesTheBody(t *testing.T) {
	for name, tt := range map[string]struct{ template, want, contentType string }{
		"what it says":                 {`{{.Kind}} {{range .Alerts}}{{.Rule}} {{.Summary | json}} {{(labels .).check}} {{upper .Incident}}{{end}}`, `opened api-down "chat failed 3 times in a row" chat-0 01KINCIDENT`, "text/plain"},
		"the standard form, within":    {`{"text": {{json .Standard.Status}}}`, `{"text": "firing"}`, "text/plain"},
		"where it fails, the standard": {`{{if eq (len .Before) 1}}{{if ne .Key "0"}}{{index .Alerts 7}}{{end}}{{end}}`, "", "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, nil)
			p := params(t, s.url, "content_type: text/plain\n")
			p.Template = tt.template
			mustExport(t, p, exportertest.Alerts(time.Now(), 1, false)...)
			got := s.all()
			if len(got) != 1 || got[0].header.Get("Content-Type") != tt.contentType {
				t.Fatalf("%d messages, of %q; want one of %q", len(got), got[0].header.Get("Content-Type"), tt.contentType)
			}
			if tt.want == "" && !strings.Contains(string(got[0].body), `"version":"4"`) || tt.want != "" && string(got[0].body) != tt.want {
				t.Errorf("posted %s, want %s", got[0].body, tt.want)
			}
		})
	}
}

// Nobody takes what is told of a drill for an outage, whatever the template says.
func TestATemplateTellsADrillFromAnOutage(t *testing.T) {
	for name, tt := range map[string]struct{ template, want string }{
		"by the summary":                       {`{{range .Alerts}}{{.Rule}}: {{.Summary}}{{end}}`, "api-down: DRILL chat failed 3 times in a row"},
		"by the rule, where nothing else does": {`{{range .Alerts}}{{.Severity}} {{.Rule}}{{end}}`, "P2 DRILL api-down"},
		"in small letters":                     {`{{range .Alerts}}{{lower .Rule}}{{end}}`, "drill api-down"},
		"in the standard form, within":         {`{{(index .Standard.Alerts 0).Labels.alertname}}`, "DRILL api-down"},
		"a fingerprint says nothing to people": {`{{range .Alerts}}{{.Fingerprint}} {{.Rule}}{{end}}`, "drill-f00d DRILL api-down"},
		"where it cannot, nothing is sent":     {`{{range .Alerts}}{{.Severity}} at once{{end}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, nil)
			p := params(t, s.url, "")
			p.Template = tt.template
			records := exportertest.Alerts(time.Now(), 1, false)
			a := records[0].Alert
			a.Labels[checks.LabelDrill], a.Fingerprint, a.Summary, a.Severity = "dns", "drill-f00d", "DRILL "+a.Summary, checks.P2
			outcome, err := export(t, p, records...)
			var got string
			if all := s.all(); len(all) == 1 {
				got = string(all[0].body)
			}
			if got != tt.want || (tt.want == "") != (len(outcome.Rejected) > 0) {
				t.Errorf("posted %q, %+v, %v; want %q", got, outcome, err, tt.want)
			}
		})
	}
}

func TestMoreAlertsThanWantedAreCounted(t *testing.T) {
	s := newSink(t, nil)
	mustExport(t, params(t, s.url, "max_alerts: 2\n"), exportertest.Alerts(time.Now(), 5, false)...)
	var p struct {
		Alerts    []any `json:"alerts"`
		Truncated int   `json:"truncatedAlerts"`
	}
	if err := json.Unmarshal(s.all()[0].body, &p); err != nil || len(p.Alerts) != 2 || p.Truncated != 3 {
		t.Errorf("%d alerts, %d truncated, %v; want 2 and 3", len(p.Alerts), p.Truncated, err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	huge := strings.Repeat("<p>no such page "+key+"</p>", 1<<16)
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   exportertest.Class
	}{
		"HTML with 200 is taken":        {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>welcome</html>") }, exportertest.Accepted},
		"a huge page with 200 is taken": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, huge) }, exportertest.Accepted},
		"a huge page with 500 is a retry": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, huge)
		}, exportertest.Retry},
		"a page with 404 is held":     {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound); _, _ = io.WriteString(w, huge) }, exportertest.Hold},
		"no answer at all is a retry": {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, exportertest.Retry},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, func(w http.ResponseWriter) bool { tt.answer(w); return true })
			_, err := export(t, params(t, s.url, "url: {env: URL}\nsigning_secret: {env: KEY}\n"), exportertest.Alerts(time.Now(), 3, false)...)
			if got := exportertest.ClassOf(err); got != tt.want {
				t.Errorf("%v (%s), want %s", err, got, tt.want)
			}
			if err != nil && (checktest.Leak(err.Error(), key) != "" || len(err.Error()) > 400) {
				t.Errorf("the error %q is long or holds the key", err)
			}
		})
	}
}

func TestOneRefusedAlertSpoilsNoOther(t *testing.T) {
	s := &sink{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "chat-3") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, received{r.Header, body})
	}))
	defer server.Close()
	outcome, err := export(t, params(t, server.URL, ""), exportertest.Alerts(time.Now(), 5, false)...)
	if err != nil || len(outcome.Rejected) != 1 || outcome.Rejected[0].Index != 3 {
		t.Fatalf("%+v, %v, want the fourth rejected", outcome, err)
	}
	if got := told(t, s); len(got) != 4 {
		t.Errorf("told %v, want the four others", got)
	}
}
