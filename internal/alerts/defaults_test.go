package alerts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
)

func metrics(c alerts.Condition) []string {
	if c.Metric != "" {
		return []string{c.Metric}
	}
	var names []string
	for _, inner := range slices.Concat(c.All, c.Any) {
		names = append(names, metrics(inner)...)
	}
	return names
}

// Every built-in rule can be read by a person, reads metrics that exist, and explains rules that exist.
func TestEveryBuiltinRuleIsWhole(t *testing.T) {
	rules := alerts.Builtin()
	names := map[string]bool{}
	for _, r := range rules {
		if names[r.Name] {
			t.Errorf("two rules are called %s", r.Name)
		}
		names[r.Name] = true
	}
	for _, r := range rules {
		if r.Layer == "" || r.Severity < "P1" || r.Severity > "P4" || r.Runbook == "" || !r.Builtin {
			t.Errorf("%s: got %+v", r.Name, r)
		}
		if !strings.HasPrefix(r.Doc, "Checklist: ") && !strings.HasPrefix(r.Doc, "Added: ") {
			t.Errorf("%s: Doc %q does not say where the rule is from", r.Name, r.Doc)
		}
		for _, text := range []string{r.Summary, r.Impact, r.Action} {
			if _, err := alerts.Text(text); err != nil || text == "" || strings.Contains(text, "\n") {
				t.Errorf("%s: text %q: %v", r.Name, text, err)
			}
		}
		for _, name := range metrics(r.When) {
			if _, known := exporters.Lookup(name); !known && !strings.HasPrefix(name, "query.") {
				t.Errorf("%s: no metric %s", r.Name, name)
			}
		}
		if r.Inhibits == nil {
			continue
		}
		for _, name := range r.Inhibits.Rules {
			if !names[name] {
				t.Errorf("%s explains %s, which does not exist", r.Name, name)
			}
		}
	}
}

func TestCapacityIsNeverTheAccountsFault(t *testing.T) {
	for _, r := range alerts.Builtin() {
		if r.Name != "rate-limited" {
			continue
		}
		for _, c := range r.When.Any {
			for _, m := range c.Match {
				if m.Attr == "cause" && m.Matches("capacity") {
					t.Errorf("%+v takes capacity", m)
				}
			}
		}
	}
}

func TestBuiltinRulesAreNotShared(t *testing.T) {
	alerts.Builtin()[0].When.Match[0].In[0] = "changed"
	if got := alerts.Builtin()[0].When.Match[0].In[0]; got == "changed" {
		t.Errorf("got %q", got)
	}
}

func TestTextsOfRules(t *testing.T) {
	for text, want := range map[string]string{
		"{{seconds .Value}} {{.Labels.check}} {{.Labels.absent}}": "7.5 s chat ",
		"{{usd .Value}}, {{percent .Threshold}}":                  "$7.50, 5 %",
		"{{number 1234.5}} {{number 12.34}} {{number 0.126}}":     "1234 12.3 0.13",
		"{{seconds 1209600.0}} {{seconds -300.0}}":                "14 d -5 min",
	} {
		tmpl, err := alerts.Text(text)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		err = tmpl.Execute(&b, alerts.Facts{Value: 7.5, Threshold: 0.05, Labels: map[string]string{"check": "chat"}})
		if got := b.String(); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"{{.Valu}}", "{{seconds}}", "{{", "{{seconds .Rule}}", "{{.Labels.check.name}}"} {
		if _, err := alerts.Text(text); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}
