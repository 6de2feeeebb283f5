//go:build faults

package faults_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

// openTo lets everybody see the world, so that the agent can be started as another user: nobody.
func (w *world) openTo(t *testing.T) (by []string) {
	t.Helper()
	needs(t, "setpriv")
	for dir := w.Dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		do(t, "chmod", "a+rx", dir)
	}
	do(t, "chmod", "a+rx", filepath.Dir(binary), binary)
	do(t, "touch", w.Config, filepath.Join(w.Dir, "stdout"), filepath.Join(w.Dir, "stderr"))
	do(t, "chmod", "a+rw", w.Config, filepath.Join(w.Dir, "stdout"), filepath.Join(w.Dir, "stderr"))
	return []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"}
}

// TestStartOnAStateDirectoryThatCannotBeUsed: whatever the reason, the agent works in memory, and one line says what to do;
// done that, it writes again.
func TestStartOnAStateDirectoryThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil, mend func(t *testing.T, dir string)
		hint        string
	}{
		"of another user": {
			spoil: func(t *testing.T, dir string) { t.Helper(); do(t, "install", "-d", "-m", "0700", "-o", "1", dir) },
			hint:  `\S+/state belongs to daemon:root with mode 0700, and the agent runs as nobody: chown -R nobody:nogroup \S+/state`,
			mend:  func(t *testing.T, dir string) { t.Helper(); do(t, "chown", "-R", "65534:65534", dir) },
		},
		"with a wrong mode": {
			spoil: func(t *testing.T, dir string) { t.Helper(); do(t, "install", "-d", "-m", "0500", "-o", "65534", dir) },
			hint:  `\S+/state belongs to nobody:root with mode 0500.*: chmod u\+rwX \S+/state`,
			mend:  func(t *testing.T, dir string) { t.Helper(); do(t, "chmod", "u+rwX", dir) },
		},
		"that is not there": {
			spoil: func(*testing.T, string) {},
			hint:  `\S+/state does not exist, and nobody may not make it: install -d -m 0700 -o nobody -g nogroup \S+/state`,
			mend: func(t *testing.T, dir string) {
				t.Helper()
				do(t, "install", "-d", "-m", "0700", "-o", "nobody", "-g", "nogroup", dir)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			by := w.openTo(t)
			test.spoil(t, w.State)
			w.Write(w.config("", ""))
			p := w.Start(by...)
			w.UntilReady()
			w.verdict(t, "models", checks.OK, checks.CauseNone)
			w.said(t, "the store cannot write; records are kept in memory until it can", test.hint)
			if problem := w.Problem("store"); problem == "" {
				t.Error("/health says nothing of the store")
			}
			test.mend(t, w.State)
			w.Until("the store to heal", func() bool { return w.Health().Store.OK })
			w.Until("the control socket to open", func() bool { return w.Health().Control != "" })
			p.Stop()
		})
	}
}

// TestStartOnAReadOnlyOrFullDisk, as above, with a disk of its own.
func TestStartOnAReadOnlyOrFullDisk(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ with, hint string }{
		"read-only": {"mount -o remount,ro", "its file system is read-only: `findmnt -T "},
		"full":      {"dd of=$0/filler bs=1k if=/dev/zero 2>/dev/null; true", "free space: `df -h "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			by := w.onSmallDisk(t, "64k")
			by[4] = strings.Replace(by[4], ` && exec`, ` && { `+test.with+` "$0"; } && exec`, 1)
			by[4] = strings.Replace(by[4], `true "$0"`, `true`, 1)
			w.Write(w.config("", ""))
			p := w.Start(by...)
			w.UntilReady()
			w.verdict(t, "models", checks.OK, checks.CauseNone)
			w.said(t, "the store cannot write; records are kept in memory until it can", test.hint)
			p.Signal(15)
			if code := p.Wait(); code != 1 {
				t.Errorf("exit code %d, want 1: records were lost", code)
			}
		})
	}
}

// TestStartWhereTheDatadogSocketIsOfAGroup that the agent is not in: it is tried again, and the line names socket, group
// and drop-in.
func TestStartWhereTheDatadogSocketIsOfAGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	by := w.openTo(t)
	path := filepath.Join(w.Dir, "dsd.socket")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	do(t, "chmod", "0720", path)
	do(t, "install", "-d", "-o", "65534", w.State)
	w.Write(w.config("  - {name: dd, kind: datadog, with: {address: \"unix://"+path+"\"}}\n", ""))
	p := w.Start(by...)
	w.UntilReady()
	w.Until("the exporter to be held", func() bool { return w.Problem("exporter dd") != "" })
	w.said(t, "export held until an operator changes something",
		`\S+/dsd.socket belongs to root:root with mode 0720, and nobody is not in that group: .*SupplementaryGroups=root.*systemctl daemon-reload`)
	p.Stop()
}

// TestStatusSaysWhoMayAsk: the socket is not for everybody. The port is, and without one the way in is said.
func TestStatusSaysWhoMayAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	by := w.openTo(t)
	p := w.start(t)
	status := func() string {
		argv := append(by, binary, "status", "--config", w.Config)
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Env = []string{"STATE_DIRECTORY=" + w.State}
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	if got := status(); !strings.Contains(got, "asked     "+w.Listen+", because the agent's socket") || !strings.Contains(got, "ask as root (sudo)\n") || strings.Contains(got, "usermod") {
		t.Errorf("by the port: %s", got)
	}
	p.Stop()
	w.Write(strings.Replace(w.config("", ""), "listen: "+w.Listen, `listen: ""`, 1))
	p = w.Start()
	w.Until("the socket", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", filepath.Join(w.State, "control.sock"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	if got := status(); !strings.Contains(got, "is not for this user (permission denied): ask as root") {
		t.Errorf("by the socket: %s", got)
	}
	p.Stop()
}
