package simulator_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

// ask sends a request without a socket: in a bubble only what is in it may be waited for.
func ask(s *simulator.Server, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testKey)
	s.Handler().ServeHTTP(w, r)
	return w
}

func askChat(s *simulator.Server, body string) *httptest.ResponseRecorder {
	return ask(s, http.MethodPost, "/v1/chat/completions", body)
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		begin := time.Now()
		var s *simulator.Server
		s = simulator.New(simulator.Options{
			Scenario: simulator.DemoScenario(100 * time.Second), Speed: 100,
			OnPhase: func(name string, at time.Time) {
				told = append(told, fmt.Sprint(at.Sub(begin), " ", name, " ", s.Phase() == name, " ", time.Now().Equal(at)))
			},
		})
		want(t, "phase before the start", s.Phase(), "")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Play(ctx); close(done) }()
		var seen []string
		for i := range 6 {
			time.Sleep(time.Until(begin.Add(time.Duration(14*i+7) * time.Second)))
			seen = append(seen, fmt.Sprint(s.Phase(), " ", askChat(s, ping).Code, " ", ask(s, http.MethodGet, "/v1/models", "").Code >= 500))
		}
		stop()
		<-done
		if diff := cmp.Diff([]string{
			"0s healthy true true", "14s slow true true", "28s rate_limited true true", "42s server_errors true true",
			"56s key_revoked true true", "1m6s recovered true true",
		}, told); diff != "" {
			t.Errorf("told: %s", diff)
		}
		server := seen[3]
		seen[3] = "server errors"
		if server != "server_errors 503 true" && server != "server_errors 502 true" {
			t.Errorf("in the fourth phase: %s", server)
		}
		if diff := cmp.Diff([]string{
			"healthy 200 false", "slow 200 false", "rate_limited 429 false", "server errors", "key_revoked 401 false", "recovered 200 false",
		}, seen); diff != "" {
			t.Errorf("seen: %s", diff)
		}
		time.Sleep(time.Hour)
		want(t, "phase long after the end", s.Phase(), "recovered")
	})
}

func TestTimelineRepeatsAndRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		begin := time.Now()
		s := simulator.New(simulator.Options{
			Scenario: &simulator.Scenario{Repeat: true, Phases: []simulator.Phase{
				{Name: "up", After: 2 * time.Second},
				{Name: "down", After: time.Second, Faults: []simulator.Fault{{Status: 500, Count: 1}}},
			}},
			OnPhase: func(name string, at time.Time) { told = append(told, fmt.Sprint(at.Sub(begin), " ", name)) },
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Play(ctx); close(done) }()
		time.Sleep(2500 * time.Millisecond)
		want(t, "first round", askChat(s, ping).Code, 500)
		want(t, "its count is used up", askChat(s, ping).Code, 200)
		time.Sleep(3 * time.Second)
		want(t, "second round", askChat(s, ping).Code, 500)
		s.Reset()
		synctest.Wait()
		want(t, "phase after a restart", s.Phase(), "up")
		time.Sleep(2500 * time.Millisecond)
		want(t, "phase later", s.Phase(), "down")
		stop()
		<-done
		if diff := cmp.Diff([]string{"0s up", "2s down", "3s up", "5s down", "5.5s up", "7.5s down"}, told); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTimelineWithoutPlayIsToldByRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := simulator.New(simulator.Options{
			Scenario: simulator.DemoScenario(100 * time.Second), Speed: 1000,
			OnPhase: func(name string, _ time.Time) { told = append(told, name) },
		})
		askChat(s, ping)
		time.Sleep(75 * time.Second)
		askChat(s, ping)
		if diff := cmp.Diff([]string{"healthy", "slow", "rate_limited", "server_errors", "key_revoked", "recovered"}, told); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	second := simulator.Fault{Route: simulator.RouteChat, Latency: time.Second, TimeToFirstToken: 2 * time.Second, InterChunkGap: time.Second / 2}
	tests := map[string]struct {
		fault simulator.Fault
		speed float64
		body  string
		want  time.Duration
	}{
		"a stream: header, first token, one gap": {second, 0, pingStream, 3500 * time.Millisecond},
		"a whole answer takes as long":           {second, 0, ping, 3500 * time.Millisecond},
		"ten times as fast":                      {second, 10, pingStream, 350 * time.Millisecond},
		"an error waits for its latency only":    {simulator.Fault{Status: 500, Latency: time.Second, TimeToFirstToken: time.Hour}, 0, ping, time.Second},
		"slow loris waits after each byte":       {simulator.Fault{Body: "garbage", SlowLoris: time.Second}, 0, ping, 42 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := simulator.New(simulator.Options{Speed: test.speed})
				if err := s.Apply(test.fault); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				got := askChat(s, test.body)
				took := time.Since(begin)
				if strings.Contains(name, "loris") {
					test.want = time.Duration(got.Body.Len()) * time.Second
				}
				want(t, "took", took, test.want)
			})
		})
	}
}

func TestJitterComesFromTheSeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		took := func(seed int64) time.Duration {
			s := simulator.New(simulator.Options{Seed: seed})
			if err := s.Apply(simulator.Fault{Latency: time.Second, Jitter: time.Second / 4}); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			ask(s, http.MethodGet, "/v1/models", "")
			return time.Since(begin)
		}
		first := took(1)
		want(t, "again", took(1), first)
		if first == took(2) {
			t.Error("another seed waits as long")
		}
		if first < 750*time.Millisecond || first > 1250*time.Millisecond {
			t.Errorf("waited %v", first)
		}
	})
}

func TestQuotaComesBackWithTheMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := simulator.New(simulator.Options{RequestsPerMinute: 1, Speed: 10})
		want(t, "first", askChat(s, ping).Code, 200)
		time.Sleep(5 * time.Second)
		got := askChat(s, ping)
		want(t, "within the minute of six seconds", got.Code, 429)
		want(t, "retry after, which was never recorded", got.Header().Get("Retry-After"), "")
		time.Sleep(time.Second)
		want(t, "after it", askChat(s, ping).Code, 200)
	})
}

func TestAClientThatLeavesEarlyIsNotBilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := simulator.New(simulator.Options{})
		if err := s.Apply(simulator.Fault{Latency: time.Hour}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(ping))
		func() {
			defer func() { want(t, "how the handler ends", recover(), any(http.ErrAbortHandler)) }()
			s.Handler().ServeHTTP(httptest.NewRecorder(), r)
		}()
		want(t, "count", s.Stats().Requests[simulator.RouteChat]["abandoned"], int64(1))
		want(t, "billed", s.Stats().Total, simulator.Billed{})
	})
}
