package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
)

func TestCompressDividesWhatTheRoadWaitsFor(t *testing.T) {
	cfg := parse(t, `
providers: {m: {api_key: {file: /k}, stall_after: 20s, breaker: {reset: 60s}}}
checks:
  - {name: a, kind: chat, schedule: "@every 60s", timeout: 30s, degraded_above: 5s, confirm: 10s, with: {model: m, time_to_first_token: 2s}}
  - {name: b, kind: models, schedule: "@every 1s", timeout: 900ms, degraded_above: 0s}
exporters: [{name: out, kind: stdout, timeout: 4s, max_age: 1h}]
`, nil)
	got := config.Compress(cfg, 10)
	a, p, e := got.Checks[0], got.Providers[0], got.Exporters[0]
	if a.Schedule.Interval() != 6*time.Second || a.Timeout != 3*time.Second || a.DegradedAbove != 500*time.Millisecond || a.Confirm != time.Second {
		t.Errorf("got check %+v", a)
	}
	if p.StallAfter != 2*time.Second || p.Breaker.Reset != 6*time.Second || p.Breaker.Failures != 5 {
		t.Errorf("got provider %+v", p)
	}
	if e.Timeout != 4*time.Second || e.MaxAge != time.Hour || got.Grace != cfg.Grace || got.Store != cfg.Store {
		t.Errorf("got %+v, want delivery and store as they were", e)
	}
	if b := got.Checks[1]; b.DegradedAbove != 0 || b.Timeout >= b.Schedule.Interval() {
		t.Errorf("got check %+v", b)
	}
	if c := cfg.Checks[0]; c.Timeout != 30*time.Second || c.Schedule.Interval() != time.Minute || cfg.Providers[0].StallAfter != 20*time.Second {
		t.Errorf("the original was changed: %+v", c)
	}
	extreme := config.Compress(cfg, 1e9).Checks[0]
	if extreme.Timeout <= 0 || extreme.Confirm <= 0 || extreme.Timeout >= extreme.Schedule.Interval() {
		t.Errorf("at a thousand million: got %+v", extreme)
	}
}

func TestCompressDividesParametersAndLeavesTheDefaultsAlone(t *testing.T) {
	cfg := config.Compress(parse(t, `checks: [{name: a, kind: chat, schedule: "@every 60s", with: {model: m, time_to_first_token: 2s}}]`, nil), 4)
	defaults := chatParams{
		MaxTokens: 16, Gaps: []time.Duration{time.Second}, Limits: map[string]time.Duration{"a": time.Minute},
	}
	for range 2 {
		got, err := checks.DecodeParams(cfg.Checks[0].With, defaults)
		want := chatParams{
			Model: "m", MaxTokens: 16, TimeToFirstToken: 500 * time.Millisecond,
			Gaps: []time.Duration{250 * time.Millisecond}, Limits: map[string]time.Duration{"a": 15 * time.Second},
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	}
	if defaults.Gaps[0] != time.Second || defaults.Limits["a"] != time.Minute {
		t.Errorf("the defaults were changed: %+v", defaults)
	}
}

func TestCompressByOneIsACopy(t *testing.T) {
	cfg := parse(t, one, nil)
	got := config.Compress(cfg, 1)
	got.Checks[0].Name = "other"
	if cfg.Checks[0].Name != "models" || got.Checks[0].Timeout != cfg.Checks[0].Timeout {
		t.Errorf("got %+v", cfg.Checks[0])
	}
}
