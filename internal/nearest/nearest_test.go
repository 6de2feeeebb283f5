package nearest_test

import (
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/internal/nearest"
)

func TestWord(t *testing.T) {
	t.Parallel()
	words := []string{"schedule", "timeout", "kind", "time_to_first_token", "url"}
	tests := map[string]struct{ written, want string }{
		"a letter is missing":             {"schedul", "schedule"},
		"two letters changed places":      {"shcedule", "schedule"},
		"capitals do not count":           {"TimeOut", "timeout"},
		"one letter of a short word":      {"ur", "url"},
		"two letters of a short word":     {"u", ""},
		"the nearest of several":          {"kinds", "kind"},
		"three letters of a long word":    {"timetofirsttoken", "time_to_first_token"},
		"another word":                    {"colour", ""},
		"nothing":                         {"", ""},
		"a text that is no word, however": {strings.Repeat("x", 1<<20), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := nearest.Word(tt.written, words); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
