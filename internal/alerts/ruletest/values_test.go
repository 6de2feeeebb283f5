package ruletest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/alerts/ruletest"
)

func contextWithDeadline(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

// levels is a rule that tells each sample: what is above n fires with n.
const levels = `alerts:
  defaults: false
  rules: [{name: high, severity: P3, when: {metric: query.x, above: 4}}]
checks: [{name: a, kind: prometheus, every: 1m}]
tests:
  - name: a
    series: [{metric: query.x, check: a, values: VALUES}]
    transitions: []
`

func TestTheNotationOfSamplesIsPromtools(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{
		"1+2x3":       "2m0s", // 1 3 5 7
		"9-2x3":       "0s",
		"-1+3x2":      "2m0s", // -1 2 5
		"1x2 5":       "3m0s", // 1 1 1 5
		"_x2 5":       "2m0s",
		"stale _ 5":   "2m0s",
		"1e0 .5 5.":   "2m0s",
		"1 +5":        "1m0s",
		"4 4 4.0001":  "2m0s",
		"1+0.5e1x1":   "1m0s",
		"0x0 5":       "1m0s",
		"4x1":         "never",
		"_x20":        "never",
		"-5 -6 -7e30": "never",
	} {
		file, err := ruletest.Read("x.yaml", []byte(strings.Replace(levels, "VALUES", `"`+values+`"`, 1)), nobody)
		if err != nil {
			t.Errorf("%s: %v", values, err)
			continue
		}
		results, err := file.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := "never"
		if len(results[0].Failures) > 0 {
			got, _, _ = strings.Cut(results[0].Failures[0].Got[0], " ")
		}
		if got != want {
			t.Errorf("%s: fired first at %s, want %s", values, got, want)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add(strings.Replace(levels, "VALUES", "1+2x3 _ stale", 1))
	f.Add(rules + "tests: [{name: a, expect: [{at: 1m}], runs: [{check: chat, count: 2, status: failed, cause: timeout}], restarts: [1s]}]")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ruletest.Read("x.yaml", []byte(text), nobody)
		if err != nil {
			return
		}
		ctx, cancel := contextWithDeadline(t)
		cancel()
		_, _ = file.Run(ctx)
	})
}
