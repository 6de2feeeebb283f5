//go:build e2e

package guest_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWatchdog: an agent that stands still is killed and started again.
func TestWatchdog(t *testing.T) {
	w := installed(t, newPackage)
	w.dropIn("[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\nRestartSec=500ms\n")
	w.start()
	pid := w.pid()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	frozen := time.Now()
	w.until("systemd to start another process", func() bool { return w.property("NRestarts") == "1" && w.pid() != 0 && w.pid() != pid })
	t.Logf("frozen to restarted in %s", time.Since(frozen).Round(100*time.Millisecond))
	if lines := w.tells(`Failed with result 'watchdog'`); len(lines) != 1 {
		t.Errorf("systemd says %q of the end of the frozen process, want that its result was watchdog, once", lines)
	}
	w.until("the agent to be ready", func() bool { return w.property("ActiveState") == "active" })
	w.more()
	w.run("systemctl", "stop", unit)
	records := w.stored()
	w.delivered(records)
	w.tiled(records, "models")
}

// TestTheWatchdogLeavesAWorkingAgentAlone for several of its periods.
func TestTheWatchdogLeavesAWorkingAgentAlone(t *testing.T) {
	w := installed(t, newPackage)
	w.dropIn("[Service]\nWatchdogSec=1s\n")
	w.start()
	began, pid := w.property("WatchdogTimestampMonotonic"), w.pid()
	w.until("the watchdog to be fed", func() bool { return w.property("WatchdogTimestampMonotonic") != began })
	reports := w.sink.Events()
	w.until("eight more runs", func() bool { return w.sink.Events() > reports+16 }) // two checks, one second
	if w.want(map[string]string{"NRestarts": "0"}); w.pid() != pid {
		t.Errorf("the process is %d, want %d", w.pid(), pid)
	}
}

// TestStopDrains: what was measured reaches the collector before the process ends, also where it had been down.
func TestStopDrains(t *testing.T) {
	w := installed(t, newPackage)
	w.start()
	w.sink.Down.Store(true)
	before := len(w.printed())
	w.until("records that the collector has not", func() bool { return len(w.printed()) > before+8 })
	w.sink.Down.Store(false)
	began := time.Now()
	w.run("systemctl", "stop", unit)
	took := time.Since(began)
	w.want(map[string]string{"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"})
	limit, err := strconv.Atoi(w.sh("systemctl show -p TimeoutStopUSec --value " + unit + " | sed 's/s$//'"))
	if err != nil {
		t.Fatal(err)
	}
	if t.Logf("stopped after %s", took.Round(time.Millisecond)); took > time.Duration(limit)*time.Second {
		t.Errorf("the stop took %s, more than TimeoutStopSec", took)
	}
	w.delivered(w.stored())
}

// TestKill9LosesNothing: each life is ended by force, and every record reaches the collector.
func TestKill9LosesNothing(t *testing.T) {
	const kills, load = 8, 20
	w := installed(t, newPackage)
	var more strings.Builder
	for i := range load {
		fmt.Fprintf(&more, "  - {name: load-%d, kind: models, schedule: \"@every 1s\", timeout: 900ms}\n", i)
	}
	w.write(config, setup{checks: more.String()}.text())
	w.dropIn("[Service]\nRestartSec=100ms\nRestartSteps=0\n")
	w.start()
	for i := range kills {
		pid := w.pid()
		w.run("systemctl", "kill", "-s", "KILL", unit)
		w.until("the next life", func() bool {
			return w.property("NRestarts") == strconv.Itoa(i+1) && w.pid() != pid && w.property("ActiveState") == "active"
		})
		w.more()
	}
	printed := w.printed()
	w.drained()
	w.run("systemctl", "stop", unit)
	records := w.stored()
	w.kept(printed, records)
	w.delivered(records)
	for i := range load {
		w.tiled(records, fmt.Sprintf("load-%d", i))
	}
	twice := 0
	for _, times := range w.sink.IDs() {
		if times > 1 {
			twice++
		}
	}
	t.Logf("%d lives, %d records, %d delivered twice", kills+1, len(records), twice)
}

// TestFrozen: a unit that is frozen for a while, as by a hypervisor, goes on and tells what it missed.
func TestFrozen(t *testing.T) {
	w := installed(t, newPackage)
	w.start()
	pid := w.pid()
	w.run("systemctl", "freeze", unit)
	w.run("sleep", "4") // what is looked at is that nothing happens
	w.run("systemctl", "thaw", unit)
	w.sixMore()
	if w.want(map[string]string{"ActiveState": "active", "NRestarts": "0"}); w.pid() != pid {
		t.Errorf("the process is %d, want %d", w.pid(), pid)
	}
	w.run("systemctl", "stop", unit)
	records := w.stored()
	w.delivered(records)
	if missed := w.tiled(records, "models"); missed < 2 {
		t.Errorf("%d slots were missed in four seconds", missed)
	}
}

// TestAWrongFileIsNotTriedAgain: exit code 78 is final until the administrator comes.
func TestAWrongFileIsNotTriedAgain(t *testing.T) {
	w := installed(t, newPackage)
	good := w.read(config)
	w.write(config, good+"exporterz: []\n")
	if _, code := w.try("systemctl", "start", unit); code == 0 {
		t.Error("systemctl start ended well")
	}
	w.want(map[string]string{"ActiveState": "failed", "SubState": "failed", "ExecMainStatus": "78", "NRestarts": "0", "MainPID": "0"})
	if lines := w.complaints(); len(lines) != 1 || !strings.Contains(lines[0], "schedules.yaml:") || !strings.Contains(lines[0], "exporterz") {
		t.Errorf("the journal has %q, want one line with the place", lines)
	}
	w.write(config, good)
	w.start()
}

// TestAHeldStateDirectoryIsTriedAgain: exit code 1, until the other agent has gone.
func TestAHeldStateDirectoryIsTriedAgain(t *testing.T) {
	w := installed(t, newPackage)
	w.dropIn("[Service]\nRestartSec=1s\nRestartSteps=0\n")
	w.run("install", "-d", "-m", "0700", "-o", "windsock", "-g", "windsock", stateDir)
	w.write("/tmp/other.yaml", setup{listen: "127.0.0.1:9189"}.text())
	w.run("systemd-run", "--unit=other", "--uid=windsock", "--gid=windsock", "--setenv=STATE_DIRECTORY="+stateDir, "/usr/bin/windsock", "run", "--config", "/tmp/other.yaml")
	w.until("the other agent to hold the directory", func() bool { code, _ := get("http://127.0.0.1:9189/readyz"); return code == 200 })
	if _, code := w.try("systemctl", "start", unit); code == 0 {
		t.Error("systemctl start ended well")
	}
	if lines := w.tells(`state directory "/var/lib/windsock" is used by process \d+`); len(lines) == 0 {
		t.Errorf("nothing in the journal says who holds the directory: %q", w.journal())
	}
	if lines := w.tells(`Main process exited, code=exited, status=1/FAILURE`); len(lines) == 0 {
		t.Errorf("the exit code was not 1: %q", w.journal())
	}
	w.until("systemd to try again", func() bool { n, _ := strconv.Atoi(w.property("NRestarts")); return n > 0 })
	w.run("systemctl", "stop", "other")
	w.until("the agent to have the directory", func() bool { return w.property("ActiveState") == "active" && w.health().Ready })
	w.more()
}

// TestInstances: two agents on one host, each with its own file, state and port.
func TestInstances(t *testing.T) {
	w := installed(t, newPackage)
	names := map[string]string{"staging": "127.0.0.1:9201", "production": "127.0.0.1:9202"}
	for name, address := range names {
		path := "/etc/windsock/" + name + ".yaml"
		w.write(path, strings.Replace(setup{listen: address}.text(), "location: here", "location: "+name, 1))
		w.run("chown", "root:windsock", path)
		w.run("chmod", "0640", path)
		w.write("/etc/default/windsock@"+name, "LABEL="+name+"\n")
		w.run("systemctl", "start", "windsock@"+name)
	}
	for name, address := range names {
		of := "windsock@" + name + ".service"
		w.until(name+" to be ready", func() bool {
			code, body := get("http://" + address + "/health")
			return code == 200 && strings.Contains(body, `"location":"`+name+`"`) || strings.Contains(body, `"location": "`+name+`"`)
		})
		if got := w.propertyOf(of, "ActiveState"); got != "active" {
			t.Errorf("%s is %s", of, got)
		}
		if got := w.run("stat", "-c", "%U %a", "/var/lib/windsock@"+name); got != "windsock 700" {
			t.Errorf("the state directory of %s is %q", name, got)
		}
		if got := w.sh("tr '\\0' '\\n' < /proc/" + w.propertyOf(of, "MainPID") + "/environ | grep ^LABEL="); got != "LABEL="+name {
			t.Errorf("the environment of %s has %q", name, got)
		}
		if out, code := w.try("windsock", "status", "--config", "/etc/windsock/"+name+".yaml"); code != 0 || !strings.Contains(out, "at "+name) {
			t.Errorf("windsock status of %s: exit code %d\n%s", name, code, out)
		}
	}
	w.more()
	w.run("systemctl", "stop", "windsock@staging")
	if got := w.propertyOf("windsock@production.service", "ActiveState"); got != "active" {
		t.Errorf("with staging stopped production is %s", got)
	}
	w.run("systemctl", "stop", "windsock@production")
	for name := range names {
		records := w.storedIn("/var/lib/windsock@" + name)
		for _, r := range of(records, "models") {
			if r.Location != name {
				t.Fatalf("the store of %s has a record of %s", name, r.Location)
			}
		}
		if len(records) == 0 {
			t.Errorf("the store of %s is empty", name)
		}
	}
}
