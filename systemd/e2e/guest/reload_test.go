//go:build e2e

package guest_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestReload: a good file is taken, a broken one changes nothing, by the same process all along.
func TestReload(t *testing.T) {
	w := installed(t, newPackage)
	w.start()
	pid := w.pid()
	same := func(when string) {
		t.Helper()
		if got := w.pid(); got != pid {
			t.Errorf("%s the process is %d, want %d", when, got, pid)
		}
		// systemctl is done when the signal is sent; the unit is "reloading" while the agent reads its file
		w.until("the unit to be active", func() bool { return w.property("ActiveState") == "active" })
		w.want(map[string]string{"SubState": "running", "NRestarts": "0"})
	}
	good := setup{checks: "  - {name: added, kind: models, schedule: \"@every 1s\", timeout: 900ms}\n"}.text()
	w.write(config, good)
	w.run("systemctl", "reload", unit)
	same("after a good file")
	w.until("the new check at the sink", func() bool { return w.arrived("probe.success", "check=added", 1) })
	if said := w.property("StatusText"); !strings.Contains(said, "3 checks") {
		t.Errorf("the unit's status is %q, want the three checks", said)
	}
	signals := len(w.said(`(?i)reload`))

	w.write(config, strings.Replace(good, "kind: chat,", "kind: chatt,", 1))
	if out, code := w.try("systemctl", "reload", unit); code != 1 {
		t.Errorf("reload of a broken file: exit code %d, want 1\n%s", code, out)
	}
	same("after a broken file")
	if lines := w.tells(`schedules\.yaml:\d+:\d+.*chatt`); len(lines) != 1 {
		t.Errorf("the journal has %q of the fault, want one line with its place", lines)
	}
	if h := w.health(); !h.Config.ReloadOK || h.Config.Error != "" {
		t.Errorf("the agent heard of the broken file: %+v; it had %d lines on reloads before", h.Config, signals)
	}
	w.more()

	t.Run("a SIGHUP with a broken file", func(t *testing.T) {
		w.run("systemctl", "kill", "-s", "HUP", "--kill-who=main", unit)
		w.until("the agent to refuse", func() bool { return strings.Contains(w.property("StatusText"), "refused") })
		same("after a SIGHUP with a broken file")
		t.Logf("the unit's status: %s", w.property("StatusText"))
		if !regexp.MustCompile(`schedules\.yaml:\d+:\d+.*chatt`).MatchString(w.health().Config.Error) {
			t.Errorf("the agent says %q of the file", w.health().Config.Error)
		}
		w.more()
	})
	t.Run("a good file again", func(t *testing.T) {
		w.write(config, plain())
		w.run("systemctl", "reload", unit)
		same("after a good file")
		w.until("two checks", func() bool { return strings.Contains(w.property("StatusText"), strconv.Itoa(2)+" checks") })
		w.more()
	})
	w.run("systemctl", "stop", unit)
	w.delivered(w.stored())
}

// TestAFileThatOnlyTheAgentRefuses: `validate` runs without the agent's environment, so a reload can fail within it; the
// unit is ready again and says so.
func TestAFileThatOnlyTheAgentRefuses(t *testing.T) {
	w := installed(t, newPackage)
	w.start()
	pid := w.pid()
	// the reload's own look passes, and what the agent reads a moment later is broken
	w.write("/etc/systemd/system/windsock.service.d/test.conf", "[Service]\nExecReload=\nExecReload=/usr/bin/windsock validate --config "+config+
		"\nExecReload=+/bin/sh -c 'echo \"exporterz: []\" >> "+config+"'\nExecReload=/bin/kill -HUP $MAINPID\n")
	w.run("systemctl", "daemon-reload")
	w.run("systemctl", "reload", unit)
	w.until("the agent to refuse", func() bool { return strings.Contains(w.property("StatusText"), "refused") })
	w.want(map[string]string{"ActiveState": "active", "SubState": "running"})
	if got := w.pid(); got != pid {
		t.Errorf("the process is %d, want %d", got, pid)
	}
	w.more()
}
