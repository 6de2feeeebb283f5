package slack_test

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

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
	"github.com/windsock-monitor/windsock/exporters/slack"
)

const key = "xoxb-canary-4711-Zq8fLm2pRt"

// post is one message as it came.
type post struct {
	Method    string  `json:"-"`
	Channel   string  `json:"channel"`
	TS        string  `json:"ts"`
	ThreadTS  string  `json:"thread_ts"`
	Broadcast bool    `json:"reply_broadcast"`
	Text      string  `json:"text"`
	Blocks    []block `json:"blocks"`
	Parse     string  `json:"parse"`
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text"`
	Fields   []text `json:"fields"`
	Elements []text `json:"elements"`
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim"`
}

// all is every text of the message, a line each.
func (p *post) all() string {
	lines := []string{p.Text}
	for _, b := range p.Blocks {
		if b.Text != nil {
			lines = append(lines, b.Text.Text)
		}
		for _, t := range append(b.Fields, b.Elements...) {
			lines = append(lines, t.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// world is a Slack that reads as strictly as the real one says that it does, and can say other things.
type world struct {
	t      *testing.T
	url    string
	mu     sync.Mutex // guards all below
	posts  []post
	tries  int
	answer func(w http.ResponseWriter, method string) bool // true: it has answered
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// say makes the answers to come; nil is a Slack that is well.
func (w *world) say(answer func(w http.ResponseWriter, method string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

func (w *world) seen() []post {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]post{}, w.posts...)
}

func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tries++
	method := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if w.answer != nil && w.answer(out, method) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		w.t.Errorf("%s %s of type %q: %v", r.Method, method, r.Header.Get("Content-Type"), err)
	}
	var p post
	if err := json.Unmarshal(body, &p); err != nil {
		w.t.Errorf("the body is no JSON: %v", err)
	}
	if fault := wrong(&p); fault != "" {
		w.t.Errorf("Slack would refuse the message: %s\n%s", fault, body)
	}
	p.Method = method
	w.posts = append(w.posts, p)
	if method != "chat.postMessage" && method != "chat.update" {
		_, _ = io.WriteString(out, "ok")
		return
	}
	if got := r.Header.Get("Authorization"); got != "Bearer "+key {
		_, _ = io.WriteString(out, `{"ok":false,"error":"invalid_auth"}`)
		return
	}
	_, _ = fmt.Fprintf(out, `{"ok":true,"channel":"C0123456789","ts":"1700000000.%06d"}`, len(w.posts))
}

// wrong is why Slack would answer invalid_blocks, by the bounds of its reference.
func wrong(p *post) string {
	if p.Text == "" || len(p.Blocks) == 0 || len(p.Blocks) > 50 || p.Parse != "none" {
		return fmt.Sprintf("text %q, %d blocks, parse %q", p.Text, len(p.Blocks), p.Parse)
	}
	for i, b := range p.Blocks {
		bounds := map[string]int{"header": 150, "section": 3000, "context": 3000}
		limit, ok := bounds[b.Type]
		if !ok || (b.Text == nil && len(b.Fields) == 0 && len(b.Elements) == 0) || len(b.Fields) > 10 || len(b.Elements) > 10 {
			return fmt.Sprintf("block %d of type %q has nothing, or too much", i, b.Type)
		}
		texts := []text{}
		if b.Text != nil {
			texts = append(texts, *b.Text)
		}
		for _, t := range append(texts, b.Elements...) {
			if fault := wrongText(t, limit, b.Type == "header"); fault != "" {
				return fmt.Sprintf("block %d: %s", i, fault)
			}
		}
		for _, t := range b.Fields {
			if fault := wrongText(t, 2000, false); fault != "" {
				return fmt.Sprintf("block %d: %s", i, fault)
			}
		}
	}
	return ""
}

func wrongText(t text, limit int, plain bool) string {
	switch n := utf8.RuneCountInString(t.Text); {
	case n == 0 || n > limit:
		return fmt.Sprintf("a text of %d characters, want 1 to %d", n, limit)
	case plain != (t.Type == "plain_text"), !plain && (t.Type != "mrkdwn" || !t.Verbatim):
		return fmt.Sprintf("a text of type %q, verbatim %t", t.Type, t.Verbatim)
	}
	return ""
}

// toBot are the params that lead to the world.
func (w *world) toBot() string {
	return "token: {env: TOKEN}\nchannel: \"#alerts\"\napi_url: " + w.url + "/api\n"
}

func build(t *testing.T, with, secret string, state []byte) exporters.Exporter {
	t.Helper()
	return buildIn(t, with, secret, exporters.Env{State: state})
}

func buildIn(t *testing.T, with, secret string, env exporters.Env) exporters.Exporter {
	t.Helper()
	env.Name, env.Version = "slack", "1.2.3"
	e, err := slack.Kind().New(exportertest.Decoder(with, secret), env)
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

// alert is a transition of the alert of a rule, minutes after noon.
func alert(rule string, state checks.AlertState, severity checks.Severity, minutes int) *checks.Alert {
	previous := checks.AlertFiring
	if state == checks.AlertFiring && minutes == 0 {
		previous = checks.AlertPending
	}
	return &checks.Alert{
		Rule: rule, Fingerprint: "f-" + rule, State: state, Previous: previous, Severity: severity, Blame: checks.BlameProvider,
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

// send must be taken; it returns the state.
func send(t *testing.T, e exporters.Exporter, alerts ...*checks.Alert) []byte {
	t.Helper()
	out, err := e.Export(t.Context(), records(alerts...))
	if err != nil || len(out.Rejected) > 0 {
		t.Fatalf("sending: %v, rejected %v", err, out.Rejected)
	}
	return out.State
}
