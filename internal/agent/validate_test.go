package agent_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
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
