//go:build e2e

package guest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

const lake = "/var/lib/windsock-lake"

// TestPluginsUnderTheUnit: confined by the unit as it is shipped, and with the drop-in that delegates control groups.
func TestPluginsUnderTheUnit(t *testing.T) {
	w := installed(t, newPackage)
	plugins(w)
	t.Run("as shipped", func(t *testing.T) { w.pluginsWork(t) })
	w.run("systemctl", "stop", unit)
	w.useDropIn("plugins.conf")
	t.Run("with plugins.conf", func(t *testing.T) {
		w.pluginsWork(t)
		w.want(map[string]string{"Delegate": "yes", "ProtectControlGroups": "no"})
	})
	w.run("systemctl", "stop", unit)
	if out, code := w.try("pgrep", "-l", "-f", "/usr/lib/windsock/plugins/"); code == 0 {
		t.Errorf("after the stop plugins still run: %s", out)
	}
}

// plugins installs a good plugin and a thief as the documents say.
func plugins(w *world) {
	w.t.Helper()
	w.run("install", "-m", "0755", "-t", "/usr/lib/windsock/plugins", "/e2e/plugins/ndjson", "/e2e/plugins/thief")
	w.run("install", "-d", "-o", "windsock", "-g", "windsock", "-m", "0750", lake)
	w.write("/etc/windsock/golden.txt", "this may be read\n")
	w.run("install", "-d", "-m", "0700", "/etc/credstore")
	w.sh("(umask 077 && echo " + firstKey + " > /etc/credstore/mistral-api-key)")
	w.useDropIn("credential.conf")
	w.dropIn("[Service]\nReadWritePaths=" + lake + "\n")
	mayNot := []string{
		keyFile, config, "/etc/windsock/*", "/etc/windsock/secrets/*", "/etc/credstore/*", "/run/credentials/windsock.service/mistral-api-key", "/run/credentials/*/*",
		stateDir + "/windsock.db", "/run/windsock/control.token", "/proc/[0-9]*/environ", "/proc/[0-9]*/mem", "/etc/shadow", "/root", "/e2e/guest.test",
		lake + "/*",
	}
	list, err := json.Marshal(mayNot)
	if err != nil {
		w.t.Fatal(err)
	}
	s := setup{
		key:       credential,
		checks:    fmt.Sprintf("  - {name: thief, kind: thief/look, schedule: \"@every 1s\", timeout: 900ms, with: {may: [/etc/windsock/golden.txt], may_not: %s, write: [/etc/windsock/x, /run/windsock/x, %s/x, %s/x, /usr/lib/windsock/plugins/x]}}\n", list, stateDir, lake),
		exporters: "  - {name: lake, kind: ndjson/file, with: {folder: " + lake + "}}\n",
		more: "plugins:\n  thief: {path: /usr/lib/windsock/plugins/thief, read: [/etc/windsock/golden.txt], network: none}\n" +
			"  ndjson: {path: /usr/lib/windsock/plugins/ndjson, write: [" + lake + "]}\n",
	}
	w.write(config, s.text())
	w.run("windsock", "plugins", "lock", "--config", config)
	w.run("windsock", "validate")
	// what the thief is after is there for its user, but for the sandbox
	w.run("setpriv", "--reuid=windsock", "--regid=windsock", "--init-groups", "cat", keyFile, config)
}

// pluginsWork starts the agent and wants the exporter's plugin to write and the thief to go away empty-handed, and both to
// be confined.
func (w *world) pluginsWork(t *testing.T) {
	t.Helper()
	w.start()
	before := w.lines("thief")
	w.until("three runs of the thief in the lake", func() bool { return w.lines("thief") > before+2 })
	for _, c := range w.health().Checks {
		if c.Name != "thief" {
			continue
		}
		if t.Logf("the thief: %s %s", c.Status, c.Summary); c.Status != checks.OK || !strings.Contains(c.Summary, "none was to be had") {
			t.Errorf("the thief is %s: %s", c.Status, c.Summary)
		}
	}
	out := w.run("sh", "-c", "cat /run/credentials/windsock.service/mistral-api-key || true")
	if out != firstKey {
		t.Errorf("the credential is %q: there was nothing to steal", out)
	}
	list, code := w.try("windsock", "plugins", "list", "--config", config)
	if code != 0 || strings.Count(list, "ready") < 2 {
		t.Errorf("windsock plugins list: exit code %d\n%s", code, list)
	}
	// a container has no controllers of control groups, which the agent must say; it has all else
	if lacks := w.health().Sandbox; len(lacks) != 1 || !strings.Contains(lacks[0], "no cgroup of its own") {
		t.Errorf("the agent says that the sandbox lacks %q, want control groups only", lacks)
	}
	for _, name := range []string{"thief", "ndjson"} {
		pid := w.run("pgrep", "-o", "-f", "/usr/lib/windsock/plugins/"+name)
		if got := w.sh("sed -n 's/^NoNewPrivs:[[:space:]]*//p;s/^Seccomp:[[:space:]]*//p' /proc/" + pid + "/status | tr '\\n' ' '"); got != "1 2" {
			t.Errorf("no new privileges and seccomp of %s are %q, want 1 2", name, got)
		}
	}
}

// lines is how many records of a check are in the lake.
func (w *world) lines(check string) int {
	w.t.Helper()
	out, _ := w.try("sh", "-c", "cat "+lake+"/*.ndjson 2>/dev/null | grep -c '\"check\":\""+check+"\"'")
	n := 0
	_, _ = fmt.Sscanf(out, "%d", &n)
	return n
}
