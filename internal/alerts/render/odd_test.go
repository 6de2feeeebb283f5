package render_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/alerts/render"
)

// TestOddTextsAndLabelsAreWrittenAlikeAndAsYAML: labels that become alike, and characters that YAML does not hold.
func TestOddTextsAndLabelsAreWrittenAlikeAndAsYAML(t *testing.T) {
	t.Parallel()
	in := render.Input{Rules: []alerts.Rule{{
		Name: "odd", Layer: alerts.LayerProbe, Severity: checks.P3, Summary: "rings \a and \u0085, \ufeff, \ufffe",
		Labels: map[string]string{"a.b": "1", "a_b": "2", "a-b": "3"},
		When:   alerts.Condition{Metric: "probe.success", Op: alerts.Equals},
	}}}
	first, _ := render.Prometheus(in)
	if !strings.Contains(string(first), "a_b: '3'") {
		t.Errorf("of labels that become alike the first by name is not there:\n%s", first)
	}
	for range 20 {
		if again, _ := render.Prometheus(in); !bytes.Equal(first, again) {
			t.Fatalf("the same rules, and\n%s\nis not\n%s", again, first)
		}
	}
	if at := strings.IndexFunc(string(first), func(r rune) bool {
		return r != '\n' && unicode.IsControl(r) || r == '\ufeff' || r == '\ufffe'
	}); at >= 0 {
		t.Errorf("a character that YAML does not hold: %q", first[at:at+10])
	}
}
