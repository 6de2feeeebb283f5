package pages_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/all"
	"github.com/windsock-monitor/windsock/internal/docgen/pages"
)

func TestThePagesAreFresh(t *testing.T) {
	t.Parallel()
	rendered, err := pages.Render(all.Kinds(), all.Examples())
	if err != nil {
		t.Fatal(err)
	}
	docs := filepath.Join("..", "..", "..", "docs")
	for name, want := range rendered {
		got, err := os.ReadFile(filepath.Join(docs, filepath.FromSlash(name)))
		if err != nil {
			t.Errorf("%v: run go generate ./checks/all", err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("docs/%s is stale, run go generate ./checks/all (-code +page):\n%s", name, diff)
		}
	}
	entries, err := os.ReadDir(filepath.Join(docs, "checks"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, ok := rendered["checks/"+entry.Name()]; !ok {
			t.Errorf("docs/checks/%s belongs to no kind", entry.Name())
		}
	}
}

type inner struct {
	Key  checks.Secret  `jsonschema_description:"The key." yaml:"key"`
	Wait time.Duration  `jsonschema_description:"How long." yaml:"wait"`
	Any  map[string]any `jsonschema_description:"A | B. Default: nothing at all." yaml:"any"`
}

type params struct {
	Name   string           `jsonschema:"required" jsonschema_description:"The name." yaml:"name"`
	Text   string           `jsonschema_description:"Some text." yaml:"text"`
	Rate   *float64         `jsonschema_description:"A rate." yaml:"rate"`
	On     bool             `jsonschema_description:"On." yaml:"on"`
	One    inner            `jsonschema_description:"One." yaml:"one"`
	Many   []inner          `jsonschema_description:"Many." yaml:"many"`
	ByName map[string]inner `jsonschema_description:"By name." yaml:"by_name"`
	Hidden int              `yaml:"-"`
}

func TestAPageTellsEveryParameter(t *testing.T) {
	t.Parallel()
	kind := checks.Kind{Name: "ping", Doc: "Pings a thing.\nAnd more.", Defaults: params{Text: "hello", On: true, One: inner{Wait: time.Second}}}
	rendered, err := pages.Render([]checks.Kind{kind}, map[string]string{"ping": "name: a\n"})
	if err != nil {
		t.Fatal(err)
	}
	page := string(rendered["checks/ping.md"])
	lines := strings.Split(page, "\n")
	for _, want := range []string{
		"# ping", "Pings a thing. And more.", "    kind: ping", "      name: a",
		"| `name` | text | *required* | The name. |",
		"| `text` | text | `hello` | Some text. |",
		"| `rate` | number |  | A rate. |",
		"| `on` | true or false | `true` | On. |",
		"| `one.key` | secret |  | The key. |",
		"| `one.wait` | time | `1s` | How long. |",
		`| ` + "`one.any`" + ` | map of any | nothing at all | A \| B. |`,
		"| `many` | list of section |  | Many. |",
		"| `many[].wait` | time |  | How long. |",
		"| `by_name.NAME.key` | secret |  | The key. |",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("the page has no line %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "Hidden") {
		t.Error("the page tells a field that no file can have")
	}
	if got := string(rendered["checks/README.md"]); !strings.Contains(got, "| [ping](ping.md) | Pings a thing. |") {
		t.Errorf("the index is:\n%s", got)
	}
}

func TestAKindWithoutExampleIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := pages.Render([]checks.Kind{{Name: "ping", Defaults: params{}}}, nil); err == nil {
		t.Error("rendered a page without an example")
	}
}
