package exporters_test

import (
	"testing"

	"github.com/windsock-monitor/windsock/exporters"
)

func TestRunbooksAreURLsOrPages(t *testing.T) {
	t.Parallel()
	const shipped = "https://github.com/windsock-monitor/windsock/blob/main/docs/runbook/timeout.md"
	for name, tt := range map[string]struct{ runbook, base, want string }{
		"a page of the team's":     {"timeout", "https://wiki.example/r#", "https://wiki.example/r#timeout"},
		"a page that ships":        {"timeout", "", shipped},
		"a page that ships, named": {"timeout", exporters.Runbooks, shipped},
		"a rule's own":             {"https://wiki.example/own?x=", "https://wiki.example/r#", "https://wiki.example/own?x="},
		"none":                     {"", "https://wiki.example/r#", ""},
		"a script":                 {"javascript:alert(1)", "", ""},
		"no name":                  {"High Latency", "", ""},
		"a way out":                {"../x", "", ""},
		"no host":                  {"https://", "", ""},
	} {
		if got := exporters.RunbookURL(tt.runbook, tt.base); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
