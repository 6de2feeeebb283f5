package config_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/config"
)

// What people copy from the page on keys is a configuration without faults, and so is what schedules.yaml has as comments.
func TestTheExamplesOfThePageOfKeysAreValid(t *testing.T) {
	page := string(read(t, filepath.Join("..", "..", "docs", "operations", "credentials.md")))
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) < 2 {
		t.Fatalf("%d examples", len(blocks))
	}
	var b strings.Builder
	b.WriteString("providers:\n  mistral:\n    api_key:\n")
	for line := range strings.Lines(string(read(t, filepath.Join("..", "..", "schedules.yaml")))) {
		if after, is := strings.CutPrefix(line, "      # - command: "); is {
			b.WriteString("      - command: " + after)
		} else if after, is := strings.CutPrefix(line, "      #   "); is && (strings.HasPrefix(after, "variables:") || strings.HasPrefix(after, "refresh:")) {
			b.WriteString("        " + after)
		}
	}
	commented := b.String()
	if strings.Count(commented, "command:") != 3 || strings.Count(commented, "variables:") != 2 {
		t.Fatalf("schedules.yaml has\n%s", commented)
	}
	for _, text := range []string{blocks[0][1], blocks[1][1], commented} {
		text += "checks: [{name: models, kind: models, schedule: \"@every 60s\"}]\n"
		if _, err := config.Parse("schedules.yaml", []byte(text), config.Options{Registry: shipped()}); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}
