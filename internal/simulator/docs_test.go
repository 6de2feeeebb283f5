package simulator_test

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/simulator"
)

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "simulator.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManualHasEveryWord(t *testing.T) {
	t.Parallel()
	text := manual(t)
	words := append(simulator.Errors(), simulator.Shapes()...)
	for field := range reflect.TypeFor[simulator.Fault]().Fields() {
		word, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		words = append(words, word)
	}
	for _, word := range words {
		if !strings.Contains(text, "`"+word+"`") {
			t.Errorf("docs/simulator.md does not explain `%s`", word)
		}
	}
}

func TestManualScenariosParse(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(manual(t), -1)
	if len(blocks) == 0 {
		t.Fatal("no scenario in docs/simulator.md")
	}
	for _, block := range blocks {
		if _, err := simulator.ParseScenario("docs/simulator.md", []byte(block[1])); err != nil {
			t.Error(err)
		}
	}
}

// The lines are replayed in their order, by the parts of curl that they use.
func TestManualCurlLinesWork(t *testing.T) {
	r := start(t, simulator.Options{})
	line := regexp.MustCompile(`(?m)^curl -sN? (?:-X (\w+) )?http://127\.0\.0\.1:8080(\S+)(?: -H 'Authorization: Bearer (\w+)')?(?: -d '(.*)')?$`)
	all := regexp.MustCompile(`(?m)^curl .*$`).FindAllString(manual(t), -1)
	if len(all) < 14 {
		t.Fatalf("%d curl lines in docs/simulator.md", len(all))
	}
	for _, text := range all {
		m := line.FindStringSubmatch(text)
		if m == nil {
			t.Errorf("not understood: %s", text)
			continue
		}
		method := m[1]
		switch {
		case method != "":
		case m[4] != "":
			method = http.MethodPost
		default:
			method = http.MethodGet
		}
		if got := r.do(t, method, m[2], m[3], m[4]); got.status >= 300 {
			t.Errorf("%s\n%d %s", text, got.status, got.body)
		}
	}
}
