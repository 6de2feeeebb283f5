//go:build e2e

package guest_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestComputer is what a container cannot show: limits of control groups, and a clock of its own.
func TestComputer(t *testing.T) {
	w := installed(t, newPackage)
	w.patience = 2 * patience // an emulated computer is slow
	for _, test := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"a plugin has the limits of its entry", pluginLimits},
		{"an agent without memory is killed and started again", memoryMax},
		{"a clock of 1970 at the start", clockOf1970},
		{"a clock that goes three days ahead and back", clockSteps},
	} {
		t.Run(test.name, func(t *testing.T) {
			outer := w.t
			w.t = t
			defer func() { w.t = outer }()
			w.afresh()
			w.write(config, plain())
			test.run(t, w)
		})
	}
}

// pluginLimits: control groups of their own below the unit's, and the one that eats too much is killed alone.
func pluginLimits(t *testing.T, w *world) {
	t.Helper()
	w.run("install", "-m", "0755", "/e2e/plugins/thief", "/usr/lib/windsock/plugins/thief")
	w.write(config, setup{
		checks: "  - {name: small, kind: thief/eat, schedule: \"@every 1s\", timeout: 900ms, with: {mib: 1}}\n" +
			"  - {name: large, kind: thief/eat, schedule: \"@every 10s\", timeout: 9s, with: {mib: 200}}\n",
		more: "plugins:\n  thief: {path: /usr/lib/windsock/plugins/thief, limits: {memory: 96MiB, pids: 40}}\n",
	}.text())
	w.run("windsock", "plugins", "lock", "--config", config)
	w.useDropIn("plugins.conf")
	w.start()
	pid := w.pid()
	const group = "/sys/fs/cgroup/system.slice/windsock.service"
	if got := w.sh(fmt.Sprintf("sed -n 's/^0:://p' /proc/%d/cgroup", pid)); got != "/system.slice/windsock.service/agent" {
		t.Errorf("the agent is in the control group %q, want its own below the unit's", got)
	}
	w.until("the plugin's control group", func() bool { groups, _ := filepath.Glob(group + "/plugin-thief*"); return len(groups) > 0 })
	groups, _ := filepath.Glob(group + "/plugin-thief*")
	for file, want := range map[string]string{"memory.max": strconv.Itoa(96 << 20), "pids.max": "40"} {
		if got := strings.TrimSpace(w.read(groups[0] + "/" + file)); got != want {
			t.Errorf("%s of the plugin is %s, want %s", file, got, want)
		}
	}
	w.until("the plugin to be killed", func() bool {
		return strings.Contains(w.run("journalctl", "-q", "-k", "-o", "cat", "-n", "500"), "oom") || len(w.said(`(?i)plugin.*(memory|killed|oom)`)) > 0
	})
	killed := time.Now()
	w.until("the plugin to run again", func() bool { return w.arrivedAfter("probe.success", "check=small", killed) })
	w.want(map[string]string{"NRestarts": "0", "ActiveState": "active"})
	if got := w.pid(); got != pid {
		t.Errorf("the agent is process %d, want %d", got, pid)
	}
	for _, lacks := range w.health().Sandbox { // this kernel's Landlock is an old one
		if strings.Contains(lacks, "cgroup") {
			t.Errorf("the sandbox lacks: %s", lacks)
		}
	}
	t.Logf("the journal: %q", w.said(`(?i)plugin.*(memory|killed|oom)`))
}

// arrivedAfter reports whether a point of that name and attribute came that is younger than a time.
func (w *world) arrivedAfter(name, attr string, after time.Time) bool {
	for key := range w.sink.Points() {
		if !strings.HasPrefix(key, name+"|") || !strings.Contains(key, "|"+attr+"|") {
			continue
		}
		if at, err := strconv.ParseInt(key[strings.LastIndex(key, "@")+1:], 10, 64); err == nil && at > after.UnixNano() {
			return true
		}
	}
	return false
}

// memoryMax: the kernel kills the agent, systemd starts it again, and no record is lost.
func memoryMax(t *testing.T, w *world) {
	t.Helper()
	w.dropIn("[Service]\nRestartSec=500ms\n")
	w.start()
	pid, printed := w.pid(), w.printed()
	w.run("systemctl", "set-property", "--runtime", unit, "MemoryMax=4M")
	w.until("the kernel to kill the agent", func() bool { return w.property("NRestarts") != "0" })
	w.run("systemctl", "set-property", "--runtime", unit, "MemoryMax=1G")
	w.until("the agent to be there again", func() bool { return w.pid() != pid && w.property("ActiveState") == "active" && w.health().Ready })
	if lines := w.tells(`killed by the OOM killer|status=9/KILL`); len(lines) == 0 {
		t.Errorf("systemd does not say that memory was the end: %q", w.journal())
	}
	w.more()
	w.drained()
	w.run("systemctl", "stop", unit)
	records := w.stored()
	w.kept(printed, records)
	w.delivered(records)
}

// clockOf1970: a computer without a battery starts the agent before it knows the time, and then learns it.
func clockOf1970(t *testing.T, w *world) {
	t.Helper()
	now, began := time.Now(), time.Now()
	w.run("date", "-s", "@86400")
	t.Cleanup(func() { w.try("date", "-s", fmt.Sprintf("@%d", now.Add(time.Since(began)).Unix())) })
	w.start()
	w.want(map[string]string{"ActiveState": "active", "NRestarts": "0"})
	pid := w.pid()
	w.run("date", "-s", fmt.Sprintf("@%d", now.Add(time.Since(began)).Unix()))
	w.stepped(t, pid, 1)
	w.until("a point of today", func() bool { return w.arrivedAfter("probe.success", "check=models", now) })
	w.run("systemctl", "stop", unit)
	t.Logf("the journal: %q", w.said(`(?i)clock`))
}

// clockSteps: three days ahead and back.
func clockSteps(t *testing.T, w *world) {
	t.Helper()
	w.start()
	pid := w.pid()
	w.run("date", "-s", "+3 days")
	w.stepped(t, pid, 1)
	w.run("date", "-s", "-3 days")
	w.stepped(t, pid, 2)
	w.drained()
	expired := w.expired()
	w.run("systemctl", "stop", unit)
	w.want(map[string]string{"Result": "success", "ExecMainStatus": "0"})
	w.delivered(w.stored())
	if expired > 0 { // what was waiting when the clock went ahead is not three days old
		t.Errorf("%d records were given up as too old", expired)
	}
	t.Logf("the journal: %q", w.said(`(?i)clock`))
}

// expired is how many records the agent gave up as too old to be sent to the collector.
func (w *world) expired() (all int64) {
	w.t.Helper()
	for _, e := range w.health().Exporters {
		if e.Name == "collector" {
			for _, n := range e.Expired {
				all += n
			}
		}
	}
	return all
}

// stepped wants the agent to have seen that many steps of the clock, and to go on by the same process.
func (w *world) stepped(t *testing.T, pid int, steps int64) {
	t.Helper()
	w.until("the agent to see the step", func() bool { return w.health().Schedule.ClockSteps >= steps })
	w.sixMore()
	if got := w.pid(); got != pid {
		t.Errorf("the agent is process %d, want %d", got, pid)
	}
	w.want(map[string]string{"NRestarts": "0", "ActiveState": "active"})
}
