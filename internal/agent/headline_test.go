package agent_test

import (
	"context"
	"os"
	"regexp"
	"testing"

	"github.com/windsock-monitor/windsock/internal/agent"
)

// last is the line that was told last.
func (h *heard) last() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.lines) == 0 {
		return ""
	}
	return h.lines[len(h.lines)-1]
}

// TestTheLineOfAnAgentInTrouble names checks, exporters and reasons, and what it cannot name it counts.
func TestTheLineOfAnAgentInTrouble(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change [][2]string
		nokey  bool
		want   string
	}{
		"no key, and a backend that is gone": {
			nokey: true, change: [][2]string{{"{name: scrape, kind: prometheus}", `{name: dead, kind: otel, timeout: 1s, with: {endpoint: "http://127.0.0.1:1"}}`}},
			want: `^0 of 2 checks ok; (models|chat) error: config \(ours\) for less than a minute; (models|chat) error: config \(ours\) for less than a minute; exporters: dead (retrying|held): .*connection refused.*; \$0\.0000 of \$1 this hour$`,
		},
		"a budget that is spent": {
			change: [][2]string{{"per_hour: 1, per_day: 1", "per_hour: 0.000000001, per_day: 0.000000001"}},
			want:   `^1 of 2 checks ok, 1 skipped \(budget\); (alerts: .*; )?exporters well; \$0\.0000 of \$0\.000000001 this hour$`,
		},
		"more checks than are named": {
			nokey: true, change: [][2]string{{"exporters: [", "  - {name: a, kind: models, schedule: \"@every 1s\", timeout: 900ms, run_at_start: true}\n  - {name: b, kind: models, schedule: \"@every 1h\", timeout: 900ms}\nexporters: ["}},
			want: `^0 of 4 checks ok, 1 not run yet; \S+ error: config \(ours\) for less than a minute; \S+ error: config \(ours\) for less than a minute and 1 more; exporters well; `,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			if test.nokey {
				delete(h.env, "KEY")
			}
			for _, c := range test.change {
				h.change(c[0], c[1])
			}
			manager := &heard{}
			options := h.options(h.config())
			options.Notify = manager
			running, err := agent.New(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- running.Run(ctx, make(chan os.Signal)) }()
			form := regexp.MustCompile(test.want)
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Log(manager.lines)
				}
			}()
			h.until("the line to be "+test.want, func() bool { return form.MatchString(manager.last()) })
		})
	}
}
