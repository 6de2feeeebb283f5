//go:build e2e

package guest_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestUpgradeKeepsEveryRecord: the collector is down while the package is exchanged under a running agent.
func TestUpgradeKeepsEveryRecord(t *testing.T) {
	w := installed(t, oldPackage)
	w.start()
	pid := w.pid()
	if got := w.health().Version; got != oldVersion {
		t.Fatalf("the agent says version %q before the upgrade, want %s", got, oldVersion)
	}
	w.sink.Down.Store(true)
	reached := w.sink.Events()
	w.until("records that the collector has not", func() bool { return len(w.printed()) > reached+8 })
	before := w.printed()
	w.install(newPackage)
	w.until("the new version to run", func() bool { return w.health().Version == newVersion })
	if w.pid() == pid {
		t.Errorf("the process is still %d", pid)
	}
	w.want(map[string]string{"ActiveState": "active", "NRestarts": "0", "Result": "success"})
	w.until("records of the new version", func() bool { return len(w.printed()) > len(before)+4 })
	if got := w.sink.Events(); got > reached {
		t.Fatalf("%d records passed a collector that is down", got-reached)
	}
	w.sink.Down.Store(false)
	w.drained()
	w.run("systemctl", "stop", unit)
	records := w.stored()
	w.kept(before, records)
	w.delivered(records)
	w.tiled(records, "models")
}

// TestUpgradeOfAStoppedAgent: what the administrator stopped is not started.
func TestUpgradeOfAStoppedAgent(t *testing.T) {
	w := installed(t, oldPackage)
	w.start()
	w.run("systemctl", "stop", unit)
	w.install(newPackage)
	w.want(map[string]string{"ActiveState": "inactive"})
	w.start()
	if got := w.health().Version; got != newVersion {
		t.Errorf("the agent says version %q, want %s", got, newVersion)
	}
}

// TestUpgradeWithABrokenFile: the process that works is left alone, and the administrator is told.
func TestUpgradeWithABrokenFile(t *testing.T) {
	w := installed(t, oldPackage)
	w.start()
	pid := w.pid()
	good := w.read(config)
	w.write(config, strings.Replace(good, "kind: chat,", "kind: chatt,", 1))
	out := w.install(newPackage)
	if !strings.Contains(out, "not restarted") || !strings.Contains(out, config) {
		t.Errorf("dpkg says\n%s\nwant that the agent was not restarted, and which file is at fault", out)
	}
	if said, code := w.try("windsock", "validate"); code != 2 || !regexp.MustCompile(`schedules\.yaml:\d+:\d+.*chatt`).MatchString(said) {
		t.Errorf("windsock validate: exit code %d\n%s", code, said)
	}
	if said, code := w.try("windsock", "status"); code != 0 || !strings.Contains(said, "it goes on without "+config) {
		t.Errorf("windsock status, of the process that goes on: exit code %d\n%s", code, said)
	}
	if state, _ := w.try("dpkg-query", "-W", "-f", "${Status} ${Version}", "windsock"); state != "install ok installed "+newVersion {
		t.Errorf("the package is %q", state)
	}
	if got := w.pid(); got != pid {
		t.Errorf("the process is %d, want %d, which was well", got, pid)
	}
	if got := w.health().Version; got != oldVersion {
		t.Errorf("version %q runs, want %s", got, oldVersion)
	}
	w.more()
	w.write(config, good)
	w.run("systemctl", "restart", unit)
	w.more()
	if got := w.health().Version; got != newVersion {
		t.Errorf("after mending and a restart version %q runs, want %s", got, newVersion)
	}
}

// TestUpgradeWithAFileThatTheProcessDoesNotHaveYet: judged is the file that a restart would read, not that of the old process.
func TestUpgradeWithAFileThatTheProcessDoesNotHaveYet(t *testing.T) {
	w := installed(t, oldPackage)
	w.start()
	pid := w.pid()
	w.write("/etc/windsock/other.yaml", "broken: true\n")
	w.sh("mkdir -p /etc/systemd/system/" + unit + ".d")
	w.write("/etc/systemd/system/"+unit+".d/other.conf", "[Service]\nExecStart=\nExecStart=/usr/bin/windsock run --config /etc/windsock/other.yaml\n")
	if out := w.install(newPackage); !strings.Contains(out, "does not accept /etc/windsock/other.yaml") {
		t.Errorf("dpkg says\n%s\nwant that the agent was not restarted, and which file is at fault", out)
	}
	if got := w.pid(); got != pid {
		t.Errorf("the process is %d, want %d, which was well", got, pid)
	}
	w.more()
}

// TestUpgradeWithoutTheShippedFile: an administrator with instances only may have removed it.
func TestUpgradeWithoutTheShippedFile(t *testing.T) {
	w := installed(t, oldPackage)
	w.sh("rm -r /etc/windsock/schedules.yaml /etc/windsock/secrets")
	w.install(newPackage)
	if state, _ := w.try("dpkg-query", "-W", "-f", "${Status} ${Version}", "windsock"); state != "install ok installed "+newVersion {
		t.Errorf("the package is %q", state)
	}
}

// TestUpgradeKeepsWhatTheAdministratorWrote, also where the newer package comes with another file.
func TestUpgradeKeepsWhatTheAdministratorWrote(t *testing.T) {
	w := installed(t, oldPackage)
	w.write("/etc/default/windsock", "HTTPS_PROXY=http://proxy.example:3128\n")
	w.run("windsock", "validate")
	mine := w.read(config)
	w.install(newPackage)
	unchanged := func(when string) {
		t.Helper()
		if w.read(config) != mine || w.read("/etc/default/windsock") != "HTTPS_PROXY=http://proxy.example:3128\n" {
			t.Errorf("%s the administrator's files are not what they were", when)
		}
		if got := w.run("stat", "-c", "%U:%G %a", config, keyFile); got != "root:windsock 640\nroot:windsock 640" {
			t.Errorf("%s configuration and key are %q", when, got)
		}
	}
	unchanged("after the upgrade")
	w.sh("cd /tmp && dpkg-deb -R " + newPackage + " other && echo '# of the next version' >> other/etc/windsock/schedules.yaml &&" +
		" sed -i 's/^Version: .*/Version: 0.3.0/' other/DEBIAN/control && dpkg-deb -Znone -b other other.deb")
	w.run("dpkg", "--force-confdef", "--force-confold", "-i", "/tmp/other.deb")
	unchanged("after an upgrade with another shipped file")
	if !strings.Contains(w.read(config+".dpkg-dist"), "# of the next version") {
		t.Error("the shipped file is not beside it")
	}
}

// TestDowngrade goes back to the version before, with the records kept.
func TestDowngrade(t *testing.T) {
	w := installed(t, newPackage)
	w.start()
	before := w.printed()
	w.install(oldPackage)
	w.until("the old version to run", func() bool { return w.health().Version == oldVersion })
	w.more()
	w.run("systemctl", "stop", unit)
	records := w.stored()
	w.kept(before, records)
	w.delivered(records)
}

// TestDowngradeOntoANewerStore: the agent says the way out in one line and touches nothing.
func TestDowngradeOntoANewerStore(t *testing.T) {
	w := installed(t, newPackage)
	w.start()
	w.run("systemctl", "stop", unit)
	files, err := filepath.Glob(filepath.Join(stateDir, "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the databases: %v, %v", files, err)
	}
	raised := schema(t, files[0], "") + 1000
	schema(t, files[0], fmt.Sprintf("PRAGMA user_version = %d", raised))
	w.run("chown", "--reference="+stateDir, files[0])
	before := w.sh("sha256sum " + files[0])
	w.install(oldPackage)
	if _, code := w.try("systemctl", "start", unit); code == 0 {
		t.Error("the start ended well")
	}
	w.want(map[string]string{"ExecMainStatus": "1"})
	lines := w.complaints()
	if len(lines) != 1 || !regexp.MustCompile(`newer|later`).MatchString(lines[0]) || !strings.Contains(lines[0], strconv.Itoa(raised)) {
		t.Errorf("the journal has %q, want one line with the version and the way out", lines)
	}
	t.Logf("the journal: %q", lines)
	w.run("systemctl", "stop", unit)
	if after := w.sh("sha256sum " + files[0]); after != before {
		t.Errorf("the store was touched: %s, was %s", after, before)
	}
	if left, _ := filepath.Glob(filepath.Join(stateDir, "*corrupt*")); len(left) > 0 {
		t.Errorf("the store was taken for a broken one: %v", left)
	}
	schema(t, files[0], fmt.Sprintf("PRAGMA user_version = %d", raised-1000))
	w.run("chown", "--reference="+stateDir, files[0])
	w.start()
}

// schema executes a statement, where there is one, and returns the version of the database's schema.
func schema(t *testing.T, path, statement string) (version int) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(path + "-shm")
	return version
}
