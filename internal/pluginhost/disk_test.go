package pluginhost_test

import (
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pluginhost"
)

func TestAPluginThatFillsTheDiskIsEnded(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{
		"fills":   "its folder for temporary files holds more than 256 MiB, and it was ended",
		"litters": "its folder for temporary files holds more than 10000 files, and it was ended",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			times := quick()
			times.Health, times.Backoff, times.MaxBackoff = 30*time.Millisecond, time.Hour, time.Hour
			h := host(t, times, entry(t, ""))
			runs(t, h.Check("bad", "probe", with("a", mode)), 10*time.Second)
			state := h.await(t, "being ended", func(s pluginhost.State) bool { return s.Restarts[pluginhost.ReasonDisk] == 1 && s.Problem != "" })
			if state.Problem != want || state.PID != 0 {
				t.Errorf("got process %d and %q, want %q", state.PID, state.Problem, want)
			}
			if err := h.Restart(t.Context(), "bad"); err != nil {
				t.Fatal(err)
			}
			if got := runs(t, h.Check("bad", "probe", with("b", "")), 10*time.Second); got.Status != checks.OK {
				t.Errorf("got %+v of the next process, whose folder is empty", got)
			}
		})
	}
}

// A plugin may use its folder, and a file with holes takes the room of what it holds.
func TestAPluginThatUsesTheDiskIsLeftAlone(t *testing.T) {
	t.Parallel()
	times := quick()
	times.Health = 20 * time.Millisecond
	h := host(t, times, entry(t, ""))
	spread := runs(t, h.Check("bad", "probe", with("a", "spreads")), 10*time.Second)
	before := h.state(t).PID
	for end := time.Now().Add(10 * times.Health); time.Now().Before(end); { // some looks
		if got := runs(t, h.Check("bad", "probe", with("b", "")), 10*time.Second); got.Status != checks.OK {
			t.Fatalf("got %+v", got)
		}
	}
	if state := h.state(t); state.PID != before || state.Restarts[pluginhost.ReasonDisk] != 0 || spread.Status != checks.OK {
		t.Errorf("got %+v and %+v, want the process as before", spread, state)
	}
}
