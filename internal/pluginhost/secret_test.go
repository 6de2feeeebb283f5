package pluginhost_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/internal/pluginhost"
)

const canary = "correct-horse-battery-staple"

func TestASecretIsInNothingThatAPluginSays(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	c := h.Check("bad", "probe", secretly(with("a", "tells"), &value{text: canary}))
	got := runs(t, c, 10*time.Second)
	if err := checktest.Valid(got); err != nil || got.Summary != "with [redacted]" || got.Facts["header"] != "[redacted]" || got.Evidence[0].Detail != "[redacted]" || got.Usage.PriceDate != "[redacted]" {
		t.Errorf("got %+v, %v", got, err)
	}
	h.await(t, "logging", func(pluginhost.State) bool {
		return strings.Contains(h.log.String(), "the password is [redacted]") && strings.Contains(h.log.String(), "printed: [redacted]") &&
			strings.Contains(h.log.String(), "past the library: [redacted]")
	})
	_, err := h.Check("bad", "probe", secretly(with("b", "betrays"), &value{text: canary})).Run(t.Context())
	if err == nil || err.Error() != "plugin bad: /[redacted]: not [redacted]" {
		t.Errorf("got %v of a plugin that puts it into a diagnostic", err)
	}
	h.await(t, "warning", func(pluginhost.State) bool { return strings.Contains(h.log.String(), "a short password: [redacted]") })
	if strings.Contains(h.log.String(), canary) {
		t.Errorf("the secret is in the log: %s", h.log)
	}
}

// A control character in a secret is taken out of the last words, which makes it whole again.
func TestASecretIsNotInTheLastWords(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	c := h.Check("bad", "probe", secretly(with("a", "dies telling"), &value{text: canary}))
	got := runs(t, c, 10*time.Second)
	state := h.await(t, "ending", func(s pluginhost.State) bool { return !s.LastExit.At.IsZero() })
	if all := fmt.Sprintf("%+v %+v", got, state); strings.Contains(all, canary) || !strings.Contains(all, "panic: [redacted]") {
		t.Errorf("got %s, want the secret in none of it", all)
	}
}

func TestASecretIsNotInTheReportOfACrash(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	runs(t, h.Check("bad", "probe", secretly(with("a", "blurts"), &value{text: canary})), 10*time.Second)
	state := h.await(t, "crashing", func(s pluginhost.State) bool { return !s.LastExit.At.IsZero() })
	if said := strings.Join(state.LastExit.Stderr, "\n"); !strings.Contains(said, "my last words: [redacted]") || strings.Contains(said+h.log.String(), canary) {
		t.Errorf("got %q and the log %s", said, h.log)
	}
}

func TestAPluginGetsOnlyTheSecretsOfItsEntry(t *testing.T) {
	t.Parallel()
	p := entry(t, "")
	p.Secrets = []string{"other"}
	h := host(t, quick(), p)
	c := h.Check("bad", "probe", secretly(with("a", "knows"), &value{text: canary}))
	result, err := c.Run(t.Context())
	if err == nil || err.Error() != `plugin bad: it may not be sent the secret "pw"; its entry has to list it` || result.Cause != checks.CauseConfig {
		t.Errorf("got %+v, %v", result, err)
	}
}

func TestASecretThatIsNotThere(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	v := &value{}
	c := h.Check("bad", "probe", secretly(with("a", "knows"), v))
	result, err := c.Run(t.Context())
	if err == nil || err.Error() != `plugin bad: reading the secret "pw": no value for the secret` || result.Cause != checks.CauseConfig {
		t.Errorf("got %+v, %v", result, err)
	}
	v.set(canary + "1")
	if got := runs(t, c, 10*time.Second).Summary; got != "29 bytes, last 1" {
		t.Errorf("got %q once it is there", got)
	}
}

func TestANewSecretIsSentBeforeTheNextRun(t *testing.T) {
	t.Parallel()
	for name, rigid := range map[string]string{"by configuring again": "", "by a new process": "yes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := entry(t, "")
			p.Env["BAD_RIGID"] = rigid
			p.Manifest.Reconfigure = rigid == ""
			h := host(t, quick(), p)
			v := &value{text: canary + "1"}
			c := h.Check("bad", "probe", secretly(with("a", "knows"), v))
			other := h.Check("bad", "probe", secretly(with("b", "knows"), v))
			first := runs(t, c, 10*time.Second).Summary
			pid := h.state(t).PID
			v.set(canary + "2")
			second, third := runs(t, c, 10*time.Second).Summary, runs(t, other, 10*time.Second).Summary
			if first != "29 bytes, last 1" || second != "29 bytes, last 2" || third != second {
				t.Errorf("got %q, %q and %q", first, second, third)
			}
			state := h.state(t)
			if same := state.PID == pid; same != (rigid == "") || state.Restarts[pluginhost.ReasonSecret] != int64(len(rigid)/3) {
				t.Errorf("got process %d after %d, and restarts %v", state.PID, pid, state.Restarts)
			}
		})
	}
}

func TestASecretThatATargetRefusesIsReadAgain(t *testing.T) {
	t.Parallel()
	h := host(t, quick(), entry(t, ""))
	v := &value{text: canary}
	if got := runs(t, h.Check("bad", "probe", secretly(with("a", "refuses"), v)), 10*time.Second); got.Cause != checks.CauseAuth {
		t.Errorf("got %+v", got)
	}
	if v.renewed != 1 {
		t.Errorf("got %d looks, want one", v.renewed)
	}
}
