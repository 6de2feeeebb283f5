//go:build e2e

package guest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestInstall does what the first page of the documents says: install, key, start. Results must arrive within a minute.
func TestInstall(t *testing.T) {
	w := newWorld(t)
	w.run("apt-get", "install", "-y", newPackage)
	layout(w)
	w.sh("install -m 0640 -o root -g windsock /dev/stdin " + keyFile + " <<E\n" + firstKey + "\nE")
	shipped := w.read(config)
	text := strings.Replace(shipped, "base_url: https://api.mistral.ai ", "base_url: http://"+apiAddress+" ", 1)
	text = strings.Replace(text, `  # - {name: collector, kind: otel, with: {endpoint: "http://127.0.0.1:4318"}}`, `  - {name: collector, kind: otel, with: {endpoint: "http://127.0.0.1:4318"}}`, 1)
	if strings.Count(text, "http://"+apiAddress) != 1 || strings.Count(text, "\n  - {name: collector,") != 1 {
		t.Fatal("the shipped configuration has not the lines that are to be changed")
	}
	w.write(config, text)
	w.run("windsock", "validate")

	if said, code := w.try("windsock", "status"); code != 1 || !strings.Contains(said, "hint: systemctl start windsock") {
		t.Errorf("windsock status before the start: exit code %d\n%s", code, said)
	}
	if said, code := w.try("sh", "-c", "cd /root && chmod 0700 . && runuser -u windsock -- windsock validate"); code != 0 {
		t.Errorf("as the agent's user, in root's folder: exit code %d\n%s", code, said)
	}
	if said, code := w.try("runuser", "-u", "daemon", "--", "windsock", "validate"); code != 2 || !strings.Contains(said, "ask with sudo") {
		t.Errorf("as somebody else: exit code %d\n%s", code, said)
	}

	began := time.Now()
	w.run("systemctl", "start", unit)
	ready := time.Since(began)
	w.want(map[string]string{"ActiveState": "active", "SubState": "running", "Type": "notify", "User": "windsock", "NRestarts": "0"})
	if said := w.property("StatusText"); !strings.Contains(said, "check") {
		t.Errorf("the unit's status is %q", said)
	}
	ids := w.sh(fmt.Sprintf("sed -n 's/^Uid:[[:space:]]*//p' /proc/%d/status", w.pid()))
	if user := uid(t, "windsock"); strings.Join(strings.Fields(ids), " ") != strings.Repeat(user+" ", 3)+user {
		t.Errorf("the agent runs as %q, want %s", ids, user)
	}
	w.until("the models check to be well at the sink", func() bool { return w.arrived("probe.success", "check=models", 1) })
	w.until("the chat to be well at the sink", func() bool { return w.arrived("probe.success", "check=chat-small", 1) })
	took := time.Since(began)
	if t.Logf("ready after %s, results at the sink after %s", ready.Round(time.Millisecond), took.Round(time.Millisecond)); took > time.Minute {
		t.Errorf("results arrived after %s, want a minute at most", took)
	}
	if got := w.run("windsock", "version"); !strings.Contains(got, newVersion) {
		t.Errorf("windsock version says %q, want %s", got, newVersion)
	}
	if got := w.health().Version; got != newVersion {
		t.Errorf("the running agent says version %q, want %s", got, newVersion)
	}
	if out, code := w.try("windsock", "status"); code != 0 || !strings.Contains(out, "models") {
		t.Errorf("windsock status: exit code %d\n%s", code, out)
	}
	if out := w.run("journalctl", "-q", "-o", "export", "-u", unit); strings.Contains(out, firstKey) {
		t.Error("the key is in the journal")
	}
}

// arrived reports whether a point of that name, with that attribute and that value, is at the sink.
func (w *world) arrived(name, attr string, value float64) bool {
	for key, got := range w.sink.Points() {
		if strings.HasPrefix(key, name+"|") && strings.Contains(key, "|"+attr+"|") && got == value {
			return true
		}
	}
	return false
}

// layout looks at owners and modes of what the package put down.
func layout(w *world) {
	w.t.Helper()
	for path, want := range map[string]string{
		"/usr/bin/windsock": "root:root 755", "/etc/windsock": "root:windsock 750", "/etc/windsock/secrets": "root:windsock 750",
		config: "root:windsock 640", "/usr/lib/windsock/plugins": "root:root 755", "/usr/lib/systemd/system/windsock.service": "root:root 644",
		"/usr/lib/systemd/system/windsock@.service": "root:root 644", "/usr/share/windsock/drop-ins/plugins.conf": "root:root 644",
		"/etc/default/windsock": "root:root 644",
	} {
		if got, _ := w.try("stat", "-c", "%U:%G %a", path); strings.TrimSpace(got) != want {
			w.t.Errorf("%s is %s, want %s", path, strings.TrimSpace(got), want)
		}
	}
	if _, err := os.Stat(stateDir); err == nil {
		w.t.Errorf("%s is there before the first start: it is systemd's to make", stateDir)
	}
}
