package render_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/alerts/render"
)

// monitor is what the tests read of a monitor.
type monitor struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Query    string `json:"query"`
	Message  string `json:"message"`
	Priority int    `json:"priority"`
	Options  struct {
		Thresholds struct {
			Critical *float64 `json:"critical"`
		} `json:"thresholds"`
		NotifyNoData    bool `json:"notify_no_data"`
		NoDataTimeframe int  `json:"no_data_timeframe"`
	} `json:"options"`
}

func readMonitors(t *testing.T, in render.Input) []monitor {
	t.Helper()
	out, _ := render.Datadog(in)
	var all []monitor
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// The grammar of monitors' queries, of the forms that are written here: docs.datadoghq.com/api/latest/monitors, "Create a
// monitor", and docs.datadoghq.com/metrics/advanced-filtering, read November 2026.
const (
	word  = `[a-zA-Z][a-zA-Z0-9_.\-/]*`
	value = `[a-zA-Z0-9_.\-/:]+`
	term  = `(?:` + word + `:` + value + `|NOT ` + word + `:` + value + `|` + word + ` (?:NOT )?IN \(` + value + `(?:,` + value + `)*\))`
)

func queryForm() *regexp.Regexp {
	return regexp.MustCompile(`^(avg|sum|max|min)\(last_(\d+)([mhd])\):(avg|sum|max|min):([a-z][a-z0-9_.]*)\{(\*|` +
		word + `:` + value + `(?:,` + word + `:` + value + `)*|` + term + `(?: AND ` + term + `)*)\}( by \{` + word + `(?:,` + word + `)*\})?(\.as_count\(\))? (<|<=|>|>=|==|!=) (-?\d+(?:\.\d+)?)$`)
}

func serviceForm() *regexp.Regexp {
	quoted := `"` + word + `:` + value + `"`
	return regexp.MustCompile(`^"([a-z][a-z0-9_.]*)"\.over\((?:"\*"|` + quoted + `(?:,` + quoted + `)*)\)\.by\("` + word + `"(?:,"` + word + `")*\)\.last\((\d+)\)\.count_by_status\(\)$`)
}

// grammatical says what is wrong with a query.
func grammatical(m monitor) error {
	if m.Options.Thresholds.Critical == nil {
		return errors.New("no critical threshold")
	}
	critical := *m.Options.Thresholds.Critical
	if m.Type == "service check" {
		parts := serviceForm().FindStringSubmatch(m.Query)
		if parts == nil {
			return errors.New("is no query of a service check")
		}
		if n, _ := strconv.Atoi(parts[2]); n > 100 || float64(n) < critical {
			return fmt.Errorf("counts the last %d, want at least %v and at most 100", n, critical)
		}
		return nil
	}
	parts := queryForm().FindStringSubmatch(m.Query)
	if m.Type != "query alert" || parts == nil {
		return fmt.Errorf("is no query of a %s", m.Type)
	}
	n, _ := strconv.Atoi(parts[2])
	if most := map[string]int{"m": 2880, "h": 48, "d": 2}[parts[3]]; n < 1 || n > most {
		return fmt.Errorf("looks back %d%s", n, parts[3])
	}
	if threshold, _ := strconv.ParseFloat(parts[10], 64); threshold != critical {
		return fmt.Errorf("compares with %v, the threshold is %v", threshold, critical)
	}
	if counts := parts[8] != ""; counts != (parts[1] == "sum") {
		return errors.New("adds up what is no count, or counts what it does not add up")
	}
	return nil
}

func TestEveryMonitorIsOneThatDatadogTakes(t *testing.T) {
	t.Parallel()
	for name, in := range inputs() {
		names := map[string]bool{}
		for _, m := range readMonitors(t, in) {
			if err := grammatical(m); err != nil {
				t.Errorf("%s: %s %s: %v", name, m.Name, m.Query, err)
			}
			if names[m.Name] {
				t.Errorf("%s: two monitors are called %s", name, m.Name)
			}
			names[m.Name] = true
			if m.Priority < 1 || m.Priority > 5 {
				t.Errorf("%s: %s has priority %d", name, m.Name, m.Priority)
			}
			if m.Options.NotifyNoData != (m.Options.NoDataTimeframe > 0) {
				t.Errorf("%s: %s tells of no data: %v, after %d minutes", name, m.Name, m.Options.NotifyNoData, m.Options.NoDataTimeframe)
			}
			if !strings.Contains(m.Message, "{{#is_alert}}") || strings.Contains(m.Message, "{{.") || len(m.Query) > 4000 {
				t.Errorf("%s: %s says %q", name, m.Name, m.Message)
			}
		}
	}
}

func TestTheGrammarKnowsWhatIsWrong(t *testing.T) {
	t.Parallel()
	one := 1.0
	for _, query := range []string{
		"avg(last_5m):avg:windsock.x{a:b} by {check} > 2",          // another threshold
		"avg(last_3000m):avg:windsock.x{a:b} > 1",                  // too long
		"p95(last_5m):avg:windsock.x{a:b} > 1",                     // no such aggregate
		"avg(last_5m):avg:windsock.x{a=b} > 1",                     // no such filter
		"avg(last_5m):avg:windsock.x{a:b,c IN (d)} > 1",            // symbols and words together
		"avg(last_5m):avg:windsock.x{} > 1",                        // no filter
		"avg(last_5m):avg:windsock.x{*}.as_count() by {check} > 1", // the wrong order
		"avg(last_5m):avg:windsock.x{*} by {check} > 1 and 1 < 2",  // more than one
		`"windsock.check".over("*").last(3).count_by_status() > 1`, // another type
	} {
		m := monitor{Type: "query alert", Query: query}
		m.Options.Thresholds.Critical = &one
		if grammatical(m) == nil {
			t.Errorf("%s was taken", query)
		}
	}
}
