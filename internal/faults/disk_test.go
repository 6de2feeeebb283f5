//go:build faults

package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
)

// onSmallDisk mounts a file system of that size on the state directory, in a mount namespace of the agent's own.
func (w *world) onSmallDisk(t *testing.T, size string) []string {
	t.Helper()
	needs(t, "unshare", "mount")
	if err := os.MkdirAll(w.State, 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{"unshare", "--mount", "sh", "-c", fmt.Sprintf(`mount -t tmpfs -o size=%s,mode=700 tmpfs "$0" && exec "$@"`, size), w.State}
}

// TestFault03ADiskThatIsFullStopsNothing: checks and exports go on, it is told once, and what was kept in memory is
// written when there is room.
func TestFault03ADiskThatIsFullStopsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Write(w.config(w.otlp(), ""))
	p := w.Start(w.onSmallDisk(t, "2m")...)
	w.UntilReady()
	w.heals(t)
	inside := fmt.Sprintf("/proc/%d/root%s", p.PID, w.State)
	filler := filepath.Join(inside, "filler")
	fill(t, filler)
	w.Until("the full disk to be told", func() bool { return w.Problem("store") != "" })
	lines, events := len(w.Of("chat")), w.collector.Events()
	w.Until("checks and exports to go on", func() bool { return len(w.Of("chat")) > lines+3 && w.collector.Events() > events+6 })
	if h := w.Health(); h.Store.OK || h.Store.RingRecords == 0 || h.Store.RingDropped > 0 {
		t.Errorf("the store on a full disk: %+v", h.Store)
	}
	for _, r := range w.Of("chat")[lines:] {
		if r.Status != checks.OK && r.Status != checks.Degraded {
			t.Errorf("a full disk makes the check %s %s (%s)", r.Status, r.Cause, r.Summary)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.Until("the disk to be used again", func() bool { h := w.Health(); return h.Store.OK && h.Store.RingRecords == 0 })
	if n := strings.Count(w.Log(), "store cannot write"); n != 1 {
		t.Errorf("the full disk is told %d times, want once:\n%s", n, w.Log())
	}
	w.Next("chat")
	do(t, "cp", "-a", inside+"/.", filepath.Join(w.Dir, "kept"))
	p.Stop()
	w.State = filepath.Join(w.Dir, "kept")
	_ = os.Remove(filepath.Join(w.State, "control.sock"))
	stored := map[string]bool{}
	for _, r := range w.Stored() {
		stored[r.ID] = true
	}
	lost := 0
	for _, r := range w.Reports()[:lines+lines] {
		if !stored[r.ID] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d records of before and during the full disk are not in the store", lost)
	}
}

// fill writes until there is no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for size := 64 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}

// TestFault05AStateFileOfRootDoesNotStopTheAgentOfAnotherUser: as after somebody ran it by hand with sudo.
func TestFault05AStateFileOfRootDoesNotStopTheAgentOfAnotherUser(t *testing.T) {
	t.Parallel()
	needs(t, "setpriv")
	w := newWorld(t)
	p := w.start(t)
	w.heals(t)
	p.Stop()
	for dir := w.Dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		do(t, "chmod", "a+rx", dir)
	}
	do(t, "chmod", "a+rx", filepath.Dir(binary), binary)
	do(t, "chmod", "a+r", w.Config)
	do(t, "chmod", "a+rw", filepath.Join(w.Dir, "stdout"), filepath.Join(w.Dir, "stderr"))
	do(t, "chmod", "0777", w.State)
	// What was spent in the last hour cannot be read, so no money is spent: the free check has to tell.
	nobody := w.Start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
	w.UntilReady()
	w.Next("models")
	if w.Problem("store") == "" {
		t.Error("/health does not tell that the state file cannot be used")
	}
	do(t, "chown", "-R", "65534:65534", w.State)
	w.Until("the store to heal", func() bool { return w.Health().Store.OK })
	nobody.Stop()
}

// TestFault05WhatRootLeavesInTheStateDirectoryIsTheAgents: an operator runs a check with sudo beside a stopped agent, and the
// agent's user can use all that is there.
func TestFault05WhatRootLeavesInTheStateDirectoryIsTheAgents(t *testing.T) {
	t.Parallel()
	needs(t, "setpriv")
	w := newWorld(t)
	for dir := w.Dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		do(t, "chmod", "a+rx", dir)
	}
	do(t, "chmod", "a+rx", filepath.Dir(binary), binary)
	do(t, "mkdir", "-p", "-m", "0700", w.State)
	do(t, "chown", "65534:65534", w.State)
	p := w.start(t) // as root
	w.heals(t)
	p.Stop()
	do(t, "chmod", "a+r", w.Config)
	do(t, "chmod", "a+rw", filepath.Join(w.Dir, "stdout"), filepath.Join(w.Dir, "stderr"))
	nobody := w.Start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
	w.UntilReady()
	w.heals(t)
	if problem := w.Problem("store"); problem != "" {
		t.Errorf("after root was here the agent cannot use its state: %s", problem)
	}
	nobody.Stop()
}

// TestFault05ACheckByRootRunsAsTheAgentsUser: what root runs by hand beside a stopped agent has the rights of the agent, no more.
func TestFault05ACheckByRootRunsAsTheAgentsUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for dir := w.Dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		do(t, "chmod", "a+rx", dir)
	}
	do(t, "mkdir", "-p", "-m", "0700", w.State)
	do(t, "chown", "65534:65534", w.State)
	program, said := filepath.Join(w.Dir, "key"), filepath.Join(w.Dir, "said")
	for path, text := range map[string]string{
		program: "#!/bin/sh\n{ id -u; id -g; id -G; } > " + said + "\necho a-key-of-many-letters\n", said: "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	do(t, "chown", "65534", said)
	w.Write(fmt.Sprintf("state_dir: %s\nproviders: {mistral: {base_url: \"http://127.0.0.1:1\", api_key: {command: [%s]}}}\n"+
		"checks: [{name: models, kind: models, schedule: \"@every 1m\"}]\n", w.State, program))
	out, _ := exec.CommandContext(t.Context(), binary, "check", "models", "--config", w.Config).CombinedOutput()
	if got, err := os.ReadFile(said); string(got) != "65534\n65534\n65534\n" || err != nil {
		t.Errorf("the program ran as %q, %v, want user, group and groups 65534; the check said\n%s", got, err, out)
	}
}
