package manual_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/manual"
)

func book() manual.Book {
	return manual.Book{Version: "1.2.3", Date: time.Date(2026, 11, 28, 23, 0, 0, 0, time.FixedZone("", -7200))}
}

func nothing(*cobra.Command, []string) {}

func verbs() map[string]string {
	root := &cobra.Command{Use: "windsock", Short: "Watches", Long: "Watches what you pay for."}
	alerts := &cobra.Command{Use: "alerts", Short: "Alerts"}
	silence := &cobra.Command{
		Use: "silence RULE --for 2h", Short: "Tell nobody", Run: nothing,
		Long:    "Silence it.\nIt's quiet. Then it is not.\n\n  .hidden\n\n.dot at the beginning, a \\ and --for",
		Example: "  windsock alerts silence x --for 2h",
	}
	silence.Flags().StringP("config", "c", "", "the `FILE` that is read")
	silence.Flags().Duration("for", time.Hour, "how long")
	silence.Flags().String("secret", "", "not for you")
	_ = silence.Flags().MarkHidden("secret")
	alerts.AddCommand(silence, &cobra.Command{Use: "inner", Short: "Not shown", Hidden: true, Run: nothing})
	root.AddCommand(alerts)
	return book().Verbs(root)
}

func TestEveryVerbHasAPage(t *testing.T) {
	t.Parallel()
	pages := verbs()
	for _, want := range []string{"windsock.1", "windsock-alerts.1", "windsock-alerts-silence.1"} {
		if pages[want] == "" {
			t.Errorf("no page %s", want)
		}
	}
	if got := pages["windsock-alerts-inner.1"]; got != "" {
		t.Errorf("a hidden verb has a page:\n%s", got)
	}
	if got := pages["windsock-help.1"]; got != "" {
		t.Errorf("help has a page:\n%s", got)
	}
}

func TestAPageOfAVerb(t *testing.T) {
	t.Parallel()
	got := verbs()["windsock-alerts-silence.1"]
	for name, want := range map[string]string{
		"its heading, of UTC's day":                ".TH WINDSOCK\\-ALERTS\\-SILENCE 1 2026-11-29 \"Windsock 1.2.3\" \"Windsock\"\n",
		"what apropos finds":                       "windsock\\-alerts\\-silence \\- tell nobody\n",
		"how it is called":                         "\\fBwindsock alerts silence\\fR RULE \\-\\-for 2h [\\fIoption\\fR ...]\n",
		"a sentence on each line":                  "It\\(aqs quiet.\nThen it is not.\n",
		"indented lines, as they are":              ".nf\n\\&.hidden\n.fi\n",
		"a dot and a backslash that are text":      "\\&.dot at the beginning, a \\e and \\-\\-for\n",
		"an option with a letter and a value":      ".TP\n\\fB\\-c, \\-\\-config\\fR FILE\nthe FILE that is read\n",
		"an option with a default":                 "how long (default 1h0m0s)\n",
		"an example":                               "windsock alerts silence x \\-\\-for 2h\n.fi\n",
		"exit codes":                               "\\fB78\\fR\n",
		"the page of the verb above":               ".BR windsock\\-alerts (1),\n",
		"the page of the file that all verbs read": ".BR schedules.yaml (5)\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: no %q in\n%s", name, want, got)
		}
	}
	if strings.Contains(got, "not for you") {
		t.Errorf("a hidden option is told:\n%s", got)
	}
}

const smallSchema = `{
  "properties": {
    "zone": {"type": "string", "description": "Where.", "default": "UTC"},
    "checks": {"type": "array", "description": "What is probed.", "items": {
      "allOf": [{"if": {"properties": {"kind": {"const": "app"}}},
                 "then": {"properties": {"with": {"properties": {"url": {"type": "string", "description": "The route."}}}}}}],
      "properties": {"name": {"type": "string", "description": "Its name."}, "overlap": {"type": "string", "enum": ["skip", "queue"], "default": "skip"}}}},
    "providers": {"type": "object", "additionalProperties": {"properties": {"api_key": {"$ref": "#/$defs/secret", "description": "The key."}}}},
    "budget": {"type": "object", "additionalProperties": false, "properties": {"per_day": {"type": "number", "description": "US dollars."}}},
    "retries": {"type": "integer", "default": 5}
  }
}`

func TestThePageOfTheConfiguration(t *testing.T) {
	t.Parallel()
	got, err := book().Configuration([]byte(smallSchema))
	if err != nil {
		t.Fatal(err)
	}
	place := 0
	for _, want := range []string{ // in the order of the file
		".TP\n\\fBzone\\fR (string, default UTC)\nWhere.\n", ".TP\n\\fBchecks\\fR (list)\n", "\\fBchecks[].name\\fR (string)\nIts name.\n", "\\fBchecks[].overlap\\fR (skip | queue, default skip)\n",
		"\\fBproviders.NAME.api_key\\fR (secret)\nThe key.\n", "\\fBbudget.per_day\\fR (number)\n", "\\fBretries\\fR (integer, default 5)\n", ".SS \"kind: app\"\n.TP\n\\fBwith.url\\fR (string)\nThe route.\n",
	} {
		at := strings.Index(got[place:], want)
		if at < 0 {
			t.Fatalf("no %q where it should be in\n%s", want, got)
		}
		place += at
	}
}

func TestASchemaThatIsNone(t *testing.T) {
	t.Parallel()
	if _, err := book().Configuration([]byte("nonsense")); err == nil {
		t.Error("it has a page")
	}
}
