package alerts

import (
	"fmt"
	"io"
	"strconv"
	"text/template"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Facts is what the texts of a rule may name: {{.Value}}, {{.Labels.check}}.
type Facts struct {
	Rule      string
	Severity  checks.Severity
	Blame     checks.Blame
	Value     float64 // in the metric's unit, where Until is set the seconds that are left
	Threshold float64
	Metric    string
	Labels    map[string]string // of the alert; one that it does not have is ""
	Since     time.Time
}

// Text reads a text of a rule. Beside what text/template has, it may call seconds ("1.5 s", "3 d"), usd ("$10.00"), percent ("8 %")
// and number ("12.5"), each of a number. An error says what is wrong with the text, a name that Facts does not have included.
func Text(text string) (*template.Template, error) {
	t, err := template.New("text").Option("missingkey=zero").Funcs(template.FuncMap{
		"seconds": seconds, "usd": usd, "percent": percent, "number": number,
	}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading the text: %w", err)
	}
	if err := t.Execute(io.Discard, Facts{Labels: map[string]string{}}); err != nil {
		return nil, fmt.Errorf("trying the text: %w", err)
	}
	return t, nil
}

// seconds writes a time as people say it, with its largest unit.
func seconds(s float64) string {
	switch size := max(s, -s); {
	case size >= 48*3600:
		return number(s/86400) + " d"
	case size >= 3*3600:
		return number(s/3600) + " h"
	case size >= 120:
		return number(s/60) + " min"
	}
	return number(s) + " s"
}

func usd(v float64) string { return "$" + strconv.FormatFloat(v, 'f', 2, 64) }

func percent(v float64) string { return number(v*100) + " %" }

// number writes at most three digits that matter, and all of those before the point.
func number(v float64) string {
	digits := 2
	switch size := max(v, -v); {
	case size >= 100:
		digits = 0
	case size >= 10:
		digits = 1
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if short, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(short, 'f', -1, 64)
	}
	return text
}
