//go:build e2e

package guest_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// since says from which systemd on a directive of our files is known: below it is ignored with one warning, which is
// intended. Nothing else may be said of them.
func since() map[string]int {
	return map[string]int{"RestartSteps": 254, "RestartMaxDelaySec": 254, "ImportCredential": 254, "RefreshOnReload": 260, "LoadCredentialEncrypted": 250}
}

// systemdVersion is the version of PID 1.
func (w *world) systemdVersion() int {
	w.t.Helper()
	version, err := strconv.Atoi(strings.Fields(w.run("systemctl", "--version"))[1])
	if err != nil {
		w.t.Fatal(err)
	}
	return version
}

// TestTheUnitsAreClean, as shipped and with each drop-in.
func TestTheUnitsAreClean(t *testing.T) {
	w := newWorld(t)
	w.install(newPackage)
	for _, name := range []string{unit, "windsock@staging.service"} {
		w.verify(name, "as shipped", "RestartSteps", "RestartMaxDelaySec", "ImportCredential")
	}
	dropIns, err := filepath.Glob("/usr/share/windsock/drop-ins/*.conf")
	if err != nil || len(dropIns) < 4 {
		t.Fatalf("the package has the drop-ins %v, %v", dropIns, err)
	}
	for _, path := range dropIns {
		for _, name := range []string{unit, "windsock@staging.service"} {
			in := "/etc/systemd/system/" + name + ".d"
			w.run("install", "-D", "-m", "0644", path, "-t", in)
			expected := []string{"RestartSteps", "RestartMaxDelaySec", "ImportCredential"}
			for _, young := range []string{"RefreshOnReload", "LoadCredentialEncrypted"} {
				if strings.Contains(w.read(path), "\n"+young+"=") {
					expected = append(expected, young)
				}
			}
			w.verify(name, "with "+filepath.Base(path), expected...)
			w.run("rm", "-r", in)
		}
	}
}

// verify wants systemd to say nothing of a unit but that it does not know directives that are younger than itself.
func (w *world) verify(name, how string, young ...string) {
	w.t.Helper()
	out, code := w.try("systemd-analyze", "verify", name)
	unknown := map[string]bool{}
	for line := range strings.Lines(out) {
		found := regexp.MustCompile(`Unknown key(?: name)? '(\w+)' in section`).FindStringSubmatch(line)
		if found == nil || !slices.Contains(young, found[1]) || since()[found[1]] <= w.systemdVersion() {
			w.t.Errorf("systemd-analyze verify %s, %s: %s", name, how, strings.TrimSpace(line))
			continue
		}
		unknown[found[1]] = true
	}
	for _, directive := range young {
		if since()[directive] > w.systemdVersion() && !unknown[directive] {
			w.t.Errorf("systemd-analyze verify %s, %s: nothing is said of %s, which this systemd does not know", name, how, directive)
		}
	}
	if code != 0 {
		w.t.Errorf("systemd-analyze verify %s, %s: exit code %d\n%s", name, how, code, out)
	}
}

// TestTheUnitsAreHardened by systemd's own measure.
func TestTheUnitsAreHardened(t *testing.T) {
	w := newWorld(t)
	w.install(newPackage)
	for _, name := range []string{unit, "windsock@staging.service"} {
		in := "/etc/systemd/system/" + name + ".d"
		w.exposed(name, "as shipped", 1.2)
		w.run("install", "-D", "-m", "0644", "/usr/share/windsock/drop-ins/plugins.conf", "-t", in)
		w.exposed(name, "with plugins.conf", 1.7)
		w.run("install", "-D", "-m", "0644", "/usr/share/windsock/drop-ins/node-plugins.conf", "-t", in)
		w.exposed(name, "with plugins.conf and node-plugins.conf", 2)
		w.run("rm", "-r", in)
	}
}

// exposed wants the score to be at most that; 10 is a unit that is not hardened at all.
func (w *world) exposed(name, how string, most float64) {
	w.t.Helper()
	w.run("systemctl", "daemon-reload")
	out := w.run("systemd-analyze", "security", "--no-pager", name)
	found := regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+)`).FindStringSubmatch(out)
	if found == nil {
		w.t.Fatalf("systemd-analyze security %s:\n%s", name, out)
	}
	score, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.t.Logf("systemd %d, %s %s: %s", w.systemdVersion(), name, how, found[1]); score > most {
		w.t.Errorf("%s %s: exposure %s, want %.1f at most\n%s", name, how, found[1], most, out)
	}
}
