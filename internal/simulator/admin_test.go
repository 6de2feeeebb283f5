package simulator_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

func (r *running) admin(t *testing.T, method, path, body string) reply {
	t.Helper()
	return r.do(t, method, "/admin/"+path, "", body)
}

func TestAdminFaults(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{Scenario: &simulator.Scenario{Faults: []simulator.Fault{{Route: simulator.RouteModel, Status: 503}}}})
	got := r.admin(t, http.MethodPost, "faults", `{"route":"chat","status":500,"latency":"1ms","count":2,"key":"`+testKey+`"}`)
	want(t, "status", got.status, http.StatusCreated)
	id := at(t, got.body, "id")
	want(t, "chat", r.chat(t, ping).status, 500)
	got = r.admin(t, http.MethodGet, "faults", "")
	want(t, "first source", at(t, got.body, "faults", 0, "source"), "scenario")
	want(t, "second source", at(t, got.body, "faults", 1, "source"), "added")
	want(t, "id", at(t, got.body, "faults", 1, "id"), id)
	want(t, "left", at(t, got.body, "faults", 1, "left"), 1)
	want(t, "latency", at(t, got.body, "faults", 1, "fault", "latency"), "1ms")
	if bytes.Contains(got.body, []byte(testKey)) {
		t.Errorf("the key is shown: %s", got.body)
	}
	want(t, "remove", r.admin(t, http.MethodDelete, fmt.Sprint("faults/", id), "").status, http.StatusNoContent)
	want(t, "chat again", r.chat(t, ping).status, 200)
	want(t, "remove again", r.admin(t, http.MethodDelete, fmt.Sprint("faults/", id), "").status, http.StatusNotFound)
	want(t, "remove the scenario's", r.admin(t, http.MethodDelete, "faults/1", "").status, http.StatusNotFound)
	r.admin(t, http.MethodPost, "faults", `{"error":"capacity"}`)
	r.admin(t, http.MethodPost, "faults", `{"alias_moved":{"alias":"mistral-small-latest","to":"mistral-large-2512"}}`)
	want(t, "moved", cards(t, clearErrors(t, r))["mistral-small-latest"].Name, "mistral-large-2512")
	want(t, "clear", r.admin(t, http.MethodDelete, "faults", "").status, http.StatusNoContent)
	want(t, "not moved", cards(t, r)["mistral-small-latest"].Name, "mistral-small-2603")
	want(t, "the scenario's is still there", r.do(t, http.MethodGet, "/v1/models/x", testKey, "").status, 503)
}

// clearErrors takes away the first added fault, which answers in the place of the list.
func clearErrors(t *testing.T, r *running) *running {
	t.Helper()
	got := r.admin(t, http.MethodGet, "faults", "")
	want(t, "remove", r.admin(t, http.MethodDelete, fmt.Sprint("faults/", at(t, got.body, "faults", 1, "id")), "").status, http.StatusNoContent)
	return r
}

func TestAdminRefusesBadInput(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{})
	tests := map[string]struct{ path, body, want string }{
		"no JSON":           {"faults", `status: 500`, "want one JSON object"},
		"a list":            {"faults", `[{"status":500}]`, "want one JSON object"},
		"two objects":       {"faults", `{"status":500}{"status":500}`, "want one JSON object"},
		"nothing":           {"faults", ``, "want one JSON object"},
		"an empty object":   {"faults", `{}`, "want status, error"},
		"unknown key":       {"faults", `{"status":500,"modell":"x"}`, `body:1:15: unknown key "modell"; did you mean "model"?`},
		"a key twice":       {"faults", `{"status":500,"status":501}`, "body:1:"},
		"wrong type":        {"faults", `{"status":"five hundred"}`, `body:1:11: "five hundred", want a whole number`},
		"a bare number":     {"faults", `{"latency":"5"}`, `body:1:12: "5", want a duration with its unit`},
		"unknown preset":    {"faults", `{"error":"nope"}`, "want one of bad_gateway"},
		"too long":          {"faults", `{"message":"` + strings.Repeat("a", 300<<10) + `"}`, "want one JSON object"},
		"no keys":           {"keys", `{}`, "want revoke, accept or both"},
		"unknown key field": {"keys", `{"remove":"x"}`, `unknown key "remove"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := r.admin(t, http.MethodPost, test.path, test.body)
			want(t, "status", got.status, http.StatusBadRequest)
			if text, _ := at(t, got.body, "error").(string); !strings.Contains(text, test.want) {
				t.Errorf("got %s, want %q", text, test.want)
			}
		})
	}
	want(t, "unknown path", r.admin(t, http.MethodGet, "nothing", "").status, http.StatusNotFound)
	want(t, "unknown method", r.admin(t, http.MethodPut, "faults", "{}").status, http.StatusNotFound)
	want(t, "the root", r.do(t, http.MethodGet, "/admin", "", "").status, http.StatusNotFound)
}

func TestAdminKeysAndReset(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string]map[string]bool{"any key": nil, "a set of keys": {testKey: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, simulator.Options{Keys: keys})
			list := func(key string) int { return r.do(t, http.MethodGet, "/v1/models", key, "").status }
			want(t, "before", list(testKey), 200)
			want(t, "revoke", r.admin(t, http.MethodPost, "keys", `{"revoke":"`+testKey+`","accept":"rotated"}`).status, http.StatusNoContent)
			want(t, "the revoked one", list(testKey), 401)
			want(t, "the new one", list("rotated"), 200)
			var shown string
			for fingerprint, k := range r.Stats().Keys {
				if k.Refused == 1 {
					shown = fingerprint
				}
			}
			r.admin(t, http.MethodPost, "keys", `{"accept":"`+shown+`"}`)
			want(t, "accepted by its fingerprint", list(testKey), 200)
			r.admin(t, http.MethodPost, "faults", `{"status":500}`)
			want(t, "reset", r.admin(t, http.MethodPost, "reset", "").status, http.StatusNoContent)
			want(t, "after the reset", list(testKey), 200)
			want(t, "requests since", r.Stats().Requests[simulator.RouteModels]["200"], int64(1))
			want(t, "the rotated one", list("rotated") == 200, keys == nil)
		})
	}
}

func TestAdminStats(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var mu sync.Mutex
	out := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := start(t, simulator.Options{Log: out, Scenario: simulator.DemoScenario(time.Hour), Speed: 1000})
	r.models(t)
	r.chat(t, ping)
	r.embed(t, embed)
	r.chat(t, `{}`)
	got := r.admin(t, http.MethodGet, "stats", "")
	want(t, "phase", at(t, got.body, "phase"), "healthy")
	want(t, "chat 200", at(t, got.body, "requests", "chat", "200"), 1)
	want(t, "chat 422", at(t, got.body, "requests", "chat", "422"), 1)
	want(t, "calls", at(t, got.body, "total", "calls"), 2)
	want(t, "embedding calls", at(t, got.body, "billed", "mistral-embed-2312", "calls"), 1)
	want(t, "requests of the key", r.Stats().Keys[onlyKey(t, r)].Requests, int64(4))
	mu.Lock()
	defer mu.Unlock()
	if bytes.Contains(got.body, []byte(testKey)) || strings.Contains(log.String(), testKey) {
		t.Error("the key is told")
	}
	if !strings.Contains(log.String(), "phase=healthy") || !strings.Contains(log.String(), "route=chat status=422") {
		t.Errorf("the log is %s", log.String())
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func onlyKey(t *testing.T, r *running) string {
	t.Helper()
	keys := r.Stats().Keys
	if len(keys) != 1 {
		t.Fatalf("keys are %v, want one", keys)
	}
	for k := range keys {
		return k
	}
	return ""
}

func TestServeStopsWithEverybodyWaiting(t *testing.T) {
	t.Parallel()
	r := start(t, simulator.Options{Scenario: simulator.DemoScenario(time.Hour)})
	r.apply(t, simulator.Fault{Route: simulator.RouteModels, Latency: time.Hour})
	r.apply(t, simulator.Fault{Route: simulator.RouteChat, InterChunkGap: time.Hour, TimeToFirstToken: time.Microsecond})
	r.apply(t, simulator.Fault{Route: simulator.RouteEmbeddings, Latency: time.Microsecond, SlowLoris: time.Hour})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if resp, err := r.send(t, http.MethodGet, "/v1/models", testKey, ""); err == nil {
			_ = resp.Body.Close()
			t.Error("the list was answered")
		}
	})
	for path, body := range map[string]string{"/v1/chat/completions": pingStream, "/v1/embeddings": embed} {
		resp, err := r.send(t, http.MethodPost, path, testKey, body)
		if err != nil {
			t.Fatal(err)
		}
		waiting.Go(func() {
			defer func() { _ = resp.Body.Close() }()
			if _, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("%s ended in order", path)
			}
		})
	}
	r.stop()
	waiting.Wait()
}

func TestServeSaysWhyItEnded(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err = simulator.New(simulator.Options{}).Serve(t.Context(), l)
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v, want the address and that it is closed", err)
	}
}
