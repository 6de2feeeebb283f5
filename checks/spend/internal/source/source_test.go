package source_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/spend/internal/source"
)

func TestWindowsBeginAtMidnightOfTheZone(t *testing.T) {
	paris := time.FixedZone("Paris", 2*3600)
	now := time.Date(2026, 9, 30, 23, 30, 0, 0, time.UTC) // the first of October in Paris
	for name, tt := range map[string]struct {
		zone       *time.Location
		day, month time.Time
	}{
		"no zone is UTC":     {nil, time.Date(2026, 9, 30, 0, 0, 0, 0, time.UTC), time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)},
		"east of it is ours": {paris, time.Date(2026, 10, 1, 0, 0, 0, 0, paris), time.Date(2026, 10, 1, 0, 0, 0, 0, paris)},
	} {
		t.Run(name, func(t *testing.T) {
			day, month := source.Windows(now, tt.zone)
			if !day.Equal(tt.day) || !month.Equal(tt.month) {
				t.Errorf("got %v and %v, want %v and %v", day, month, tt.day, tt.month)
			}
		})
	}
}

func TestAProblemIsAnErrorThatSaysItsTextOnly(t *testing.T) {
	p := source.Problemf(checks.CauseConfig, "the log cannot be opened: %s", "permission denied")
	p.Err = fs.ErrPermission
	var err error = p
	if got, want := err.Error(), "the log cannot be opened: permission denied"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Error("what is beneath cannot be found")
	}
}

func TestConfidenceHasAWordForEachValue(t *testing.T) {
	for c, want := range map[source.Confidence]string{
		source.Unsure: "unsure", source.Partial: "partial", source.Estimated: "estimated", source.Exact: "exact",
	} {
		if got := c.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
