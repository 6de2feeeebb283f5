package drill_test

import (
	"testing"

	"github.com/windsock-monitor/windsock/internal/drill"
)

func TestATextOfTheTeamsOwnTellsOfAnAlert(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want bool
	}{
		"by its rule":                        {`{"text": "P1 api-down firing"}`, true},
		"by its rule alone":                  {"api-down", true},
		"by its summary":                     {"a < b: chat failed", true},
		"by its summary in JSON":             {`{"text": "a \u003c b: chat failed"}`, true},
		"not by another rule":                {"traffic-api-down, api-down-again, my_api-down", false},
		"by its rule after another":          {"traffic-api-down and api-down", true},
		"not by what is said of all of them": {`{"text": "something is wrong"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := drill.Says(tt.body, "api-down", "a < b: chat failed"); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
