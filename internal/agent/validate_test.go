package agent_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	machine "github.com/windsock-monitor/windsock/internal/host"
)

// What the file alone cannot tell is placed all the same.
func TestBuildableRefuses(t *testing.T) {
	t.Parallel()
	const scrape = "exporters: [{name: scrape, kind: prometheus}]"
	tests := map[string]struct {
		old, fresh   string
		line, column int
		want         string
	}{
		"authorities that are not there": {
			scrape, "network:\n  ca_file: /nowhere/ca.pem", 9, 12, "no such file",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.change(tt.old, tt.fresh)
			cfg, err := h.load()
			if err != nil {
				t.Fatal(err)
			}
			err = agent.Buildable(cfg, h.registry())
			var wrong *config.Errors
			if !errors.As(err, &wrong) || len(wrong.List()) != 1 {
				t.Fatalf("got %v, want one placed problem", err)
			}
			if p := wrong.List()[0]; p.Line != tt.line || p.Column != tt.column || !strings.Contains(p.Message, tt.want) {
				t.Errorf("got %v, want %d:%d %q", p, tt.line, tt.column, tt.want)
			}
		})
	}
}

func TestCostOfACronExpressionIsThatOfItsFullestDay(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	cost := func(fresh string) float64 {
		h.change(`kind: chat, schedule: "@every 1s"`, `kind: chat, schedule: "`+fresh+`"`)
		cfg, err := h.load()
		if err != nil {
			t.Fatal(err)
		}
		h.change(fresh, "@every 1s")
		return float64(agent.CostOf(cfg, h.registry()).WorstPerDay)
	}
	once := cost("0 9 * * *")
	for expr, want := range map[string]float64{"0,1 9 * * *": 2, "*/5 9-16 * * 1-5": 96, "0 0 1 1 *": 1, "@every 1h": 24} {
		if got := cost(expr); got != want*once {
			t.Errorf("%s costs %v runs a day, want %v", expr, got/once, want)
		}
	}
}

func TestProbeTriesEverySecretNameAndExporter(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change("checks:\n", "secrets: {b: {env: KEY}, a: {env: NOWHERE}}\nchecks:\n"+
		"  - {name: way, kind: egress, schedule: '@every 1m', with: {hosts: [{host: localhost}, {host: 127.0.0.2}, {host: far.example, resolver: 127.0.0.3}],"+
		" forbid: ['127.0.0.4:80'], reference: 'localhost:443'}}\n")
	h.change("{name: scrape, kind: prometheus}", "{name: lines, kind: stdout}, {name: down, kind: otel, with: {endpoint: 'http://127.0.0.1:1'}}")
	h.change("api_key: {env: KEY}", "api_key: {env: KEY}, fallback_api_key: {env: NOWHERE}")
	cfg, err := h.load()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range agent.Probe(t.Context(), cfg, agent.ProbeOptions{
		Registry: h.registry(), Version: "test", Log: slog.New(slog.DiscardHandler), Getenv: h.getenv, Host: machine.Options{Root: t.TempDir()},
	}) {
		got = append(got, fmt.Sprintf("%s %t", f.Subject, f.OK))
	}
	want := []string{ // of a host that has nothing
		"systemd true", "user true", "configuration false", "state directory true", "disk true", "store true", "descriptors true", "resolver false", "authorities false",
		"secret of provider mistral true", "fallback secret of provider mistral false", "secret a false", "secret b true", "host 127.0.0.1 true", "host localhost true",
		"host 127.0.0.2 true", "host 127.0.0.4 true", "provider mistral true", "clock true", "reference localhost:443 true", "exporter lines true", "exporter down false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestACostBeyondAllMoneyStaysAtItsEnd: it never turns into a gain.
func TestACostBeyondAllMoneyStaysAtItsEnd(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.change("budget: {per_hour: 1, per_day: 1}", `prices: {models: [{model: mistral-small-latest, input_per_million: 100000, output_per_million: 100000}]}`)
	h.change("with: {model: mistral-small-latest}", "with: {model: mistral-small-latest, max_tokens: 32768}")
	cfg, err := h.load()
	if err != nil {
		t.Fatal(err)
	}
	cost := agent.CostOf(cfg, h.registry())
	if cost.WorstPerMonth < cost.WorstPerDay || cost.WorstPerDay < cost.WorstPerHour || cost.TypicalPerMonth <= 0 {
		t.Errorf("got %+v", cost)
	}
}
