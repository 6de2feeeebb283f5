//go:build e2e

package guest_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRemoveAndPurge: remove keeps what is the administrator's, purge leaves nothing of what the package and the agent made.
func TestRemoveAndPurge(t *testing.T) {
	w := newWorld(t)
	before, users := everything(t), accounts(w)
	w.install(newPackage)
	w.key(keyFile, firstKey)
	w.write(config, plain())
	w.run("systemctl", "enable", unit)
	w.start()

	w.run("dpkg", "-r", "windsock")
	if out, code := w.try("pgrep", "-f", "^/usr/bin/windsock run"); code == 0 {
		t.Errorf("after remove the agent still runs: %s", out)
	}
	if got := w.read(config); got != plain() {
		t.Error("remove changed the configuration")
	}
	if got := w.read(keyFile); got != firstKey+"\n" {
		t.Error("remove changed the key")
	}
	if got := w.stored(); len(got) == 0 {
		t.Error("remove took the records")
	}
	for _, path := range []string{"/usr/bin/windsock", "/usr/lib/systemd/system/windsock.service", "/run/windsock"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("remove left %s", path)
		}
	}
	w.install(newPackage)
	w.start()

	w.run("dpkg", "-P", "windsock")
	if out, code := w.try("pgrep", "-f", "^/usr/bin/windsock run"); code == 0 {
		t.Errorf("after purge the agent still runs: %s", out)
	}
	after := everything(t)
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if !before[path] {
			t.Errorf("purge left %s", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if !after[path] {
			t.Errorf("purge took %s, which was there before the package", path)
		}
	}
	if got := accounts(w); got != users {
		t.Errorf("users and groups are\n%s\nand were\n%s", got, users)
	}
	if out, code := w.try("systemctl", "cat", unit); code == 0 {
		t.Errorf("systemd still knows the unit:\n%s", out)
	}
	if out := w.run("systemctl", "list-units", "--all", "--no-legend", "windsock*"); out != "" {
		t.Errorf("systemd still shows %s", out)
	}
}

// accounts are the users and the groups of the machine.
func accounts(w *world) string {
	w.t.Helper()
	return w.sh("getent passwd | sort; getent group | sort")
}

// everything is every path of the machine's disk but logs, caches, and what dpkg and the test itself keep; and what the
// product has in memory.
func everything(t *testing.T) map[string]bool {
	t.Helper()
	passed := []string{"/proc", "/sys", "/dev", "/e2e", "/tmp", "/var/tmp", "/var/log/journal", "/var/cache", "/var/lib/dpkg", "/var/lib/apt", "/root"}
	ownLog := []string{
		"/var/log/dpkg.log", "/var/log/alternatives.log", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-",
		"/etc/.pwd.lock",
	}
	paths := map[string]bool{}
	err := filepath.WalkDir("/", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what has just gone is not there
		}
		if slices.Contains(passed, path) {
			return fs.SkipDir
		}
		if strings.HasPrefix(path, "/run/") && !strings.HasPrefix(path, "/run/windsock") {
			return nil
		}
		if !slices.Contains(ownLog, path) {
			paths[path] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := filepath.Glob("/var/lib/dpkg/info/windsock*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range info {
		paths[path] = true
	}
	return paths
}
