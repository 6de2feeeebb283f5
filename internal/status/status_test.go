package status_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/status"
)

func observed(paid bool, s checks.Status, c checks.Cause) status.Observation {
	return status.Observation{Paid: paid, Report: &checks.Report{
		Check: "c", Took: 120 * time.Millisecond,
		Result: checks.Result{Status: s, Cause: c, Summary: "why", Facts: map[string]string{"model": "m"}},
	}}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	overdue := observed(true, checks.OK, "")
	overdue.Overdue = true
	tests := map[string]struct {
		seen []status.Observation
		want status.Verdict
	}{
		"nothing is known":                        {nil, status.Degraded},
		"no result yet":                           {[]status.Observation{{Paid: true}}, status.Degraded},
		"all is well":                             {[]status.Observation{observed(true, checks.OK, ""), observed(false, checks.OK, "")}, status.Healthy},
		"one has no result yet":                   {[]status.Observation{observed(true, checks.OK, ""), {Paid: false}}, status.Degraded},
		"slow":                                    {[]status.Observation{observed(true, checks.Degraded, checks.CauseSlow)}, status.Degraded},
		"the list is well but every chat fails":   {[]status.Observation{observed(true, checks.Failed, checks.CauseServer), observed(false, checks.OK, "")}, status.Unhealthy},
		"one of two models is down":               {[]status.Observation{observed(true, checks.Failed, checks.CauseServer), observed(true, checks.OK, "")}, status.Degraded},
		"the breaker is open":                     {[]status.Observation{observed(true, checks.Skipped, checks.CauseBreakerOpen)}, status.Unhealthy},
		"skipped for the budget is not an outage": {[]status.Observation{observed(true, checks.Skipped, checks.CauseBudget)}, status.Degraded},
		"our own fault is not an outage":          {[]status.Observation{observed(true, checks.Error, checks.CauseConfig)}, status.Degraded},
		"an old result is not green":              {[]status.Observation{overdue}, status.Degraded},
		"only free checks, all failed":            {[]status.Observation{observed(false, checks.Failed, checks.CauseDNS)}, status.Unhealthy},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := status.Judge("mistral", tt.seen)
			if got.Status != tt.want {
				t.Errorf("got %s, want %s", got.Status, tt.want)
			}
			if (got.Error == "") != (got.Status == status.Healthy) {
				t.Errorf("%s with error %q", got.Status, got.Error)
			}
		})
	}
}

type fakeAgent struct {
	health status.Health
	alive  bool
}

func (f *fakeAgent) Health(context.Context) status.Health { return f.health }
func (f *fakeAgent) Alive() bool                          { return f.alive }
func (f *fakeAgent) Handlers() map[string]http.Handler {
	return map[string]http.Handler{"/metrics": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "probe_success 1\n")
	})}
}

func TestPages(t *testing.T) {
	t.Parallel()
	well := status.Service{Status: status.Healthy, Provider: "mistral", LatencyMs: 120, Model: "m"}
	down := status.Service{Status: status.Unhealthy, Provider: "other", Error: "server: 500"}
	agent := &fakeAgent{alive: true, health: status.Health{
		Status: status.Degraded, Ready: true, Services: map[string]status.Service{"mistral": well, "other": down},
	}}
	handler := status.New("127.0.0.1:0", agent, slog.New(slog.DiscardHandler)).Handler()
	tests := map[string]struct {
		path, host string
		method     string
		status     int
		body       string
	}{
		"alive":                             {path: "/livez", status: 200, body: "ok"},
		"ready":                             {path: "/readyz", status: 200, body: "ok"},
		"degraded is not 503":               {path: "/health", status: 200, body: `"status": "degraded"`},
		"a healthy provider":                {path: "/health/mistral", status: 200, body: `"latencyMs": 120`},
		"an unhealthy provider is 503":      {path: "/health/other", status: 503, body: `"error": "server: 500"`},
		"no such provider":                  {path: "/health/none", status: 404},
		"an exporter's page":                {path: "/metrics", status: 200, body: "probe_success 1"},
		"no such page":                      {path: "/nothing", status: 404},
		"the index":                         {path: "/", status: 200, body: "/metrics"},
		"read only":                         {path: "/health", method: http.MethodPost, status: 405},
		"a name that was bound to loopback": {path: "/health", host: "evil.example:80", status: 421},
		"localhost":                         {path: "/livez", host: "localhost:9188", status: 200},
		"an IPv6 address":                   {path: "/livez", host: "[::1]:9188", status: 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method := tt.method
			if method == "" {
				method = http.MethodGet
			}
			req := httptest.NewRequestWithContext(t.Context(), method, tt.path, nil)
			req.Host = "127.0.0.1:9188"
			if tt.host != "" {
				req.Host = tt.host
			}
			got := httptest.NewRecorder()
			handler.ServeHTTP(got, req)
			if got.Code != tt.status {
				t.Errorf("got status %d, want %d: %s", got.Code, tt.status, got.Body)
			}
			if !strings.Contains(got.Body.String(), tt.body) {
				t.Errorf("got %s, want it to hold %s", got.Body, tt.body)
			}
		})
	}
}

func TestADeadSchedulerIsSaid(t *testing.T) {
	t.Parallel()
	agent := &fakeAgent{health: status.Health{Status: status.Unhealthy}}
	handler := status.New("", agent, slog.New(slog.DiscardHandler)).Handler()
	for path, want := range map[string]int{"/livez": 503, "/readyz": 503, "/health": 503} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		req.Host = "localhost"
		got := httptest.NewRecorder()
		handler.ServeHTTP(got, req)
		if got.Code != want {
			t.Errorf("%s: got %d, want %d", path, got.Code, want)
		}
	}
}

// TestTheServiceHasTheChecklistsFields holds the field names that other people's dashboards read.
func TestTheServiceHasTheChecklistsFields(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(status.Service{Status: status.Degraded, Provider: "p", LatencyMs: 1, Model: "m", Error: "e"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"status":"degraded","provider":"p","latencyMs":1,"model":"m","error":"e"}`
	if string(data) != want {
		t.Errorf("got %s, want %s", data, want)
	}
}

// TestATakenPortIsTriedAgain: the agent starts without its port, says so, and serves when the port is free.
func TestATakenPortIsTriedAgain(t *testing.T) {
	t.Parallel()
	holder, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := status.New(holder.Addr().String(), &fakeAgent{alive: true}, slog.New(slog.DiscardHandler)).RetryEvery(time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { server.Run(ctx) })
	defer running.Wait()
	defer stop()
	eventually(t, "the problem is said", func() bool { return server.Problem() != "" })
	if got := server.WayOut(); !strings.HasPrefix(got, "`ss -ltnp` shows who has the port") {
		t.Errorf("the way out is %q", got)
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the port is served", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Address()+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK && server.Problem() == ""
	})
	if got := server.WayOut(); got != "" {
		t.Errorf("the way out is %q, want none", got)
	}
}

// TestAnAddressThatIsNotThisHosts has another way out than a port that is taken.
func TestAnAddressThatIsNotThisHosts(t *testing.T) {
	t.Parallel()
	server := status.New("192.0.2.1:9188", &fakeAgent{alive: true}, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { server.Run(ctx) })
	defer running.Wait()
	defer stop()
	eventually(t, "the way out is said", func() bool { return strings.HasPrefix(server.WayOut(), "`ip address` shows") })
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if is() {
			return
		}
		<-tick.C
	}
	t.Fatalf("never: %s", what)
}
