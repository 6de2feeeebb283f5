package lint

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

// thousands are rules of one file that are all alike: nobody shadows another, so that all are looked at.
func thousands(n int) []alerts.Rule {
	rules := make([]alerts.Rule, n)
	for i := range rules {
		rules[i] = alerts.Rule{
			Name: fmt.Sprintf("rule-%04d", i), Severity: checks.P3, Runbook: "high-latency", Summary: "slow",
			When: alerts.Condition{
				Metric: "probe.duration", Aggregate: alerts.P95, Window: alerts.Window{Time: 10 * time.Minute}, Op: alerts.Above, Threshold: 1 + float64(i)/1e4,
				MinSamples: 3, Match: []alerts.Matcher{{Attr: "kind", In: []string{"chat"}}, {Attr: "check", In: []string{fmt.Sprintf("chat-%d", i%100)}}},
			},
			For: time.Duration(n-i) * time.Second,
		}
	}
	return rules
}

func hundred() []alerts.Check {
	all := make([]alerts.Check, 100)
	for i := range all {
		all[i] = alerts.Check{Name: fmt.Sprintf("chat-%d", i), Kind: "chat", Provider: "mistral", Interval: time.Minute, Timeout: 10 * time.Second, Metrics: []string{}}
	}
	return all
}

// A rule is held against a bounded number of others, however many there are.
func TestShadowsOfThousandsAreBounded(t *testing.T) {
	l := &linter{Input: Input{Rules: thousands(5000), Checks: hundred()}}
	l.learn()
	l.shadows()
	if l.pairs == 0 || l.pairs > 5000*beside {
		t.Errorf("%d pairs of 5000 rules, want at most %d", l.pairs, 5000*beside)
	}
	if got := Lint(l.Input); len(got) > 0 {
		t.Errorf("got %d findings, the first is %+v", len(got), got[0])
	}
}

func BenchmarkLint(b *testing.B) {
	in := Input{Rules: thousands(5000), Checks: hundred()}
	for b.Loop() {
		if got := Lint(in); len(got) > 0 {
			b.Fatalf("got %+v", got[0])
		}
	}
}

// What the catalogue says of a metric in words, the lint knows in numbers.
func TestTheLintKnowsTheCatalogue(t *testing.T) {
	for _, m := range exporters.Catalogue() {
		s := &sight{Condition: &alerts.Condition{Metric: m.Name}, known: m, listed: true}
		b := s.bounds()
		switch {
		case strings.HasPrefix(m.Doc, "1 where") || strings.HasPrefix(m.Doc, "1 while"):
			if b.low != 0 || b.high != 1 || len(b.only) != 2 {
				if m.Name != "probe.llm.model.alias_info" {
					t.Errorf("%s is %s, and the lint takes it to be %v", m.Name, m.Doc, b)
				}
			}
		case strings.HasSuffix(m.Name, ".share") && m.Name != "spend.cached.share":
			if b.low != 0 || b.high != 1 {
				t.Errorf("%s is a share, and the lint takes it to be %v", m.Name, b)
			}
		case m.Kind == exporters.Counter:
			if b.low != 0 {
				t.Errorf("%s is a counter, and the lint takes it to be %v", m.Name, b)
			}
		}
		if s.timed() != (b.low == 0 && math.IsInf(b.high, 1) && m.Kind != exporters.Counter) {
			t.Errorf("%s: a time that we measure is never below zero, got %v", m.Name, b)
		}
		if m.Self || m.Page {
			continue
		}
		if hint := whoMeasures(m.Name); hint == "" && m.Name != "probe.success" {
			t.Errorf("%s: nobody knows who measures it", m.Name)
		}
	}
}
