package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
)

func (h *host) route(cfg *config.Config, registry config.Registry, t agent.RouteTest) (agent.Finding, bool) {
	t.ProbeOptions = agent.ProbeOptions{Registry: registry, Version: "test", Log: slog.New(slog.DiscardHandler), Getenv: h.getenv}
	return agent.TryRoute(h.t.Context(), cfg, t)
}

func TestATestNotificationGoesThroughTheRealExporterAndIsMarked(t *testing.T) {
	t.Parallel()
	type message struct {
		Status string `json:"status"`
		Alerts []struct {
			Status      string            `json:"status"`
			Fingerprint string            `json:"fingerprint"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"alerts"`
	}
	var mu sync.Mutex // guards got and status
	var got []message
	status := http.StatusOK
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m message
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("%v in %s", err, body)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, m)
		w.WriteHeader(status)
	}))
	t.Cleanup(sink.Close)
	h := newHost(t)
	h.env["HOOK"] = sink.URL + "/key-4711"
	h.change("{name: scrape, kind: prometheus}", "{name: scrape, kind: prometheus}, {name: hook, kind: webhook, with: {url: {env: HOOK}, match: {severity: [P1, P2], team: shop}}}")
	cfg := h.config()
	if _, known := h.route(cfg, h.registry(), agent.RouteTest{Exporter: "hoo", Severity: checks.P1}); known {
		t.Error("an exporter was found that is not there")
	}
	f, _ := h.route(cfg, h.registry(), agent.RouteTest{Exporter: "hook", Severity: checks.P3})
	if f.OK || len(got) != 0 || !strings.Contains(f.Detail, "told nobody") || !strings.Contains(f.Hint, "--severity") {
		t.Errorf("got %+v and %d messages, want that the route lets nothing through", f, len(got))
	}
	f, _ = h.route(cfg, h.registry(), agent.RouteTest{Exporter: "hook", Severity: checks.P2, Labels: map[string]string{"team": "shop", "test": "false"}})
	if !f.OK || len(got) != 2 || got[0].Status != "firing" || got[1].Status != "resolved" {
		t.Fatalf("got %+v and %+v, want one that fires and one that is resolved", f, got)
	}
	for _, m := range got {
		a := m.Alerts[0]
		if len(m.Alerts) != 1 || a.Labels["test"] != "true" || a.Labels["alertname"] != "windsock-test" || a.Labels["team"] != "shop" ||
			!strings.HasPrefix(a.Annotations["summary"], "TEST: nothing is wrong") || a.Fingerprint != got[0].Alerts[0].Fingerprint {
			t.Errorf("got %+v, want the same test in both, marked as one", m)
		}
	}
	mu.Lock()
	status = http.StatusForbidden
	mu.Unlock()
	f, _ = h.route(cfg, h.registry(), agent.RouteTest{Exporter: "hook", Severity: checks.P1, Labels: map[string]string{"team": "shop"}})
	if f.OK || !strings.Contains(f.Detail, "403") || f.Hint == "" || strings.Contains(f.Detail, "key-4711") {
		t.Errorf("got %+v, want what the backend said, without the key", f)
	}
	f, _ = h.route(cfg, h.registry(), agent.RouteTest{Exporter: "scrape", Severity: checks.P1})
	if !f.OK {
		t.Errorf("got %+v, want that an exporter that tells nobody takes it too", f)
	}
}

// moody is an exporter that says what it is told to, and keeps what it was given.
type moody struct {
	says []error
	got  []string
}

func (m *moody) Export(ctx context.Context, batch []checks.Record) (exporters.Outcome, error) {
	if ctx.Err() != nil {
		return exporters.Outcome{}, ctx.Err()
	}
	m.got = append(m.got, string(batch[0].Alert.State))
	var err error
	if len(m.says) > 0 {
		err, m.says = m.says[0], m.says[1:]
	}
	return exporters.Outcome{}, err
}

func TestTheEndOfATestIsToldWhateverHappens(t *testing.T) {
	t.Parallel()
	down := exporters.Retry(errors.New("the other side is down"), 5*time.Second)
	for name, tc := range map[string]struct {
		says []error
		cut  bool // the caller goes while it is open
		want []string
		ok   bool
		text string
		took time.Duration
	}{
		"at once":              {want: []string{"firing", "resolved"}, ok: true, text: "and then as resolved", took: time.Minute},
		"at the third attempt": {says: []error{nil, down, down}, want: []string{"firing", "resolved", "resolved", "resolved"}, ok: true, text: "and then as resolved", took: time.Minute + 10*time.Second},
		"never":                {says: []error{nil, down, down, down}, want: []string{"firing", "resolved", "resolved", "resolved"}, text: "close it by hand: rule windsock-test", took: time.Minute + 10*time.Second},
		"the caller is gone":   {cut: true, want: []string{"firing", "resolved"}, ok: true, text: "and then as resolved", took: time.Second},
		"it never began":       {says: []error{down}, want: []string{"firing"}, text: "did not take the test notification: the other side is down"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := &moody{says: tc.says}
				kind := exporters.NewKind("moody", "", struct{}{}, func(struct{}, exporters.Env) (exporters.Exporter, error) { return m, nil })
				cfg := &config.Config{Exporters: []config.Exporter{{Name: "m", Kind: "moody", Timeout: time.Second, With: nothing{}}}}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.cut {
					time.AfterFunc(time.Second, cancel)
				}
				began := time.Now()
				f, _ := agent.TryRoute(ctx, cfg, agent.RouteTest{
					Exporter: "m", Severity: checks.P1, OpenFor: time.Minute,
					ProbeOptions: agent.ProbeOptions{Registry: config.Registry{Exporters: []exporters.Kind{kind}}, Log: slog.New(slog.DiscardHandler)},
				})
				if took := time.Since(began); f.OK != tc.ok || !slices.Equal(m.got, tc.want) || !strings.Contains(fmt.Sprint(f), tc.text) || took != tc.took {
					t.Errorf("got %+v after %s, told %v, want %t %q after %s, told %v", f, took, m.got, tc.ok, tc.text, tc.took, tc.want)
				}
			})
		})
	}
}

// nothing is an empty section.
type nothing struct{}

func (nothing) Decode(any) error { return nil }
