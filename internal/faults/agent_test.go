package faults_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/simulator"
	"github.com/windsock-monitor/windsock/internal/status"
)

// reload sends SIGHUP and waits for the reload to be over.
func (w *world) reload(p *agenttest.Process) status.Health {
	before := w.Health().Config.ReloadedAt
	p.Signal(syscall.SIGHUP)
	var h status.Health
	w.Until("the reload to be over", func() bool {
		h = w.Health()
		return h.Config.ReloadedAt.After(before)
	})
	return h
}

// TestFault22AFileThatCannotBeUsedChangesNothing: the old configuration runs on, and the message names the place.
func TestFault22AFileThatCannotBeUsedChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	good := w.config("", "")
	for name, bad := range map[string]struct{ text, says string }{
		"not YAML":         {"checks: [\n  - {", `schedules.yaml:\d+:\d+`},
		"a name twice":     {strings.Replace(good, "name: chat", "name: models", 1), `schedules.yaml:\d+:\d+.*"models"`},
		"an unknown key":   {good + "exporterz: []\n", `schedules.yaml:\d+:\d+`},
		"an unknown kind":  {strings.Replace(good, "kind: chat", "kind: chatt", 1), `schedules.yaml:\d+:\d+.*chatt`},
		"a wrong value":    {strings.Replace(good, "900ms", "soon", 1), `schedules.yaml:\d+:\d+`},
		"binary":           {"\x7fELF\x02\x01\x00\x00\xff\xfe", `schedules.yaml`},
		"fifty megabytes":  {good + strings.Repeat("# a comment that never ends\n", 50<<20/28), `schedules.yaml`},
		"a billion laughs": {"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nchecks: [*b,*b,*b,*b]\n", `schedules.yaml:\d+:\d+`},
		"nothing":          {"", `schedules.yaml`},
	} {
		w.Write(bad.text)
		h := w.reload(p)
		if h.Config.ReloadOK || !regexp.MustCompile(bad.says).MatchString(h.Config.Error) || h.Status != status.Degraded {
			t.Errorf("%s: reload ok is %v, the agent %s, the message %q; want a refusal that matches %s", name, h.Config.ReloadOK, h.Status, h.Config.Error, bad.says)
		}
	}
	if err := os.Remove(w.Config); err != nil {
		t.Fatal(err)
	}
	if h := w.reload(p); h.Config.ReloadOK {
		t.Error("a file that is not there was taken")
	}
	w.Next("chat")
	w.Write(strings.Replace(good, "{env: KEY}", "{file: /nowhere/key}", 1))
	if h := w.reload(p); !h.Config.ReloadOK {
		t.Errorf("a key that is not there yet keeps a configuration from being taken: %s", h.Config.Error)
	}
	if r := w.Next("chat"); r.Status != checks.Error || r.Cause != checks.CauseConfig {
		t.Errorf("without its key the check is %s %s, want error config", r.Status, r.Cause)
	}
	w.Write(good)
	if h := w.reload(p); !h.Config.ReloadOK {
		t.Errorf("the good file was refused: %s", h.Config.Error)
	}
	w.heals(t)
	p.Stop()
}

// TestFault22ReloadsUnderLoadLeakNothing reloads while checks run and exporters work, and looks at the slopes. In
// `make test-faults` a thousand times.
func TestFault22ReloadsUnderLoadLeakNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var more strings.Builder
	for i := range 20 {
		fmt.Fprintf(&more, "  - {name: load-%d, kind: models, schedule: \"@every 1s\", timeout: 900ms, with: {}}\n", i)
	}
	text := w.config(w.otlp()+"  - {name: scrape, kind: prometheus}\n", "")
	text = strings.Replace(text, "exporters:\n", more.String()+"exporters:\n", 1)
	w.Write(text)
	p := w.Start()
	w.UntilReady()
	s := newSamples()
	for i := range reloads {
		w.Write(strings.Replace(text, "name: chat", fmt.Sprintf("name: chat-%d", i%3), 1))
		if h := w.reload(p); !h.Config.ReloadOK {
			t.Fatalf("reload %d was refused: %s", i, h.Config.Error)
		} else if i >= reloads/2 {
			s.add(float64(i), h.Process)
		}
	}
	s.flat(t, "reload", tolerance{goroutines: reloadLeak, files: reloadLeak, memory: reloadMemory})
	p.Stop()
	got := map[string]int{}
	for _, r := range w.Reports() {
		got[r.ID]++
	}
	stored, reports := w.Stored(), 0
	accounted(t, stored)
	for _, r := range stored {
		if r.Report == nil {
			continue
		}
		if reports++; got[r.ID] == 0 {
			t.Errorf("record %s of %s never reached standard output", r.ID, r.Report.Check)
		}
	}
	t.Logf("%d reloads, %d records", reloads, reports)
}

// TestFault26WithoutDescriptorsTheFaultIsOurs: 32 descriptors and twice as many checks. Nobody else is blamed.
func TestFault26WithoutDescriptorsTheFaultIsOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(t, simulator.Fault{Route: "models", Latency: 30 * time.Second}) // divided by 100
	var more strings.Builder
	for i := range 60 {
		fmt.Fprintf(&more, "  - {name: load-%d, kind: models, schedule: \"@every 1s\", timeout: 900ms, run_at_start: true, with: {}}\n", i)
	}
	few := w.config("", "concurrency: {global: 64, per_host: 64}\n")
	w.Write(strings.Replace(few, "exporters:\n", more.String()+"exporters:\n", 1))
	p := w.Start("sh", "-c", `ulimit -n 32 && exec "$0" "$@"`)
	own, blamed := 0, 0
	w.Until("the descriptors to run out", func() bool {
		own, blamed = 0, 0
		for _, r := range w.Reports() {
			switch {
			case r.Report.Status == checks.Failed:
				blamed++
			case r.Report.Status == checks.Error && r.Report.Cause == checks.CauseInternal && r.Report.Blame == checks.BlameOurs:
				own++
			}
		}
		return own > 20
	})
	if blamed > 0 {
		t.Errorf("%d runs blame the target, %d ourselves; want none to blame the target", blamed, own)
	}
	w.sim.Clear()
	w.Write(few)
	w.Until("the load to be gone", func() bool {
		p.Signal(syscall.SIGHUP)
		return strings.Contains(w.Log(), "msg=reloaded")
	})
	w.heals(t)
	p.Stop()
}

// TestFault28AStoppedProcessBlamesNobody: the process stands still, as under a debugger, a snapshot of its host or a host
// without time to give. In `make test-faults` for thirty seconds.
func TestFault28AStoppedProcessBlamesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(t, simulator.Fault{Route: "*", Latency: 100 * time.Second}) // divided by 100
	var more strings.Builder
	for i := range 15 { // of which five are always going on
		fmt.Fprintf(&more, "  - {name: going-%d, kind: models, schedule: \"@every 3s\", timeout: 2500ms, with: {}}\n", i)
	}
	text := strings.ReplaceAll(w.config("", ""), `"@every 1s", timeout: 900ms`, `"@every 3s", timeout: 2500ms`)
	w.Write(strings.Replace(text, "exporters:\n", more.String()+"exporters:\n", 1))
	p := w.Start()
	w.UntilReady()
	w.Next("chat")
	for range 2 {
		p.Signal(syscall.SIGSTOP)
		pause(standstill)
		p.Signal(syscall.SIGCONT)
		w.Next("chat")
		w.Next("models")
	}
	h := w.Health()
	if got := h.Schedule; got.Scheduled != got.Done+got.Skipped+got.Missed+int64(got.Running) {
		t.Errorf("%d slots are not %d done, %d skipped, %d missed and %d running", got.Scheduled, got.Done, got.Skipped, got.Missed, got.Running)
	}
	p.Stop()
	slots := 0
	for _, r := range w.Stored() {
		if r.Report == nil {
			continue
		}
		if r.Report.Status == checks.Failed {
			t.Errorf("%s blames %s: %s %s", r.Report.Check, r.Report.Blame, r.Report.Cause, r.Report.Summary)
		}
		if r.Report.Cause == checks.CauseMissed {
			slots += r.Report.Slots
		}
		if r.Report.Took > 2*time.Second {
			t.Logf("%s %s %s %s %s", r.Report.Check, r.Report.Status, r.Report.Cause, r.Report.Took, r.Report.Summary)
		}
	}
	if want := 2 * 17 * int(standstill/(3*time.Second)-1); slots < want {
		t.Errorf("%d slots are told as missed, want at least %d of each stop", slots, want)
	}
}

// TestFault32TwoAgentsAndATakenPort: one agent per state directory, with the holder named; a port may be taken.
func TestFault32TwoAgentsAndATakenPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.start(t)
	other := *w.Host
	second := other.Start()
	if code := second.Wait(); code != 1 {
		t.Errorf("a second agent on the state directory: exit code %d, want 1", code)
	}
	if want := fmt.Sprintf("used by process %d", first.PID); !strings.Contains(w.Log(), want) {
		t.Errorf("the log does not say %q", want)
	}
	neighbour := agenttest.NewHost(t, binary)
	neighbour.Listen = w.Listen
	neighbour.Write(w.config("", ""))
	third := neighbour.Start()
	neighbour.Until("the neighbour to work without its port", func() bool { return len(neighbour.Of("chat")) > 0 })
	if !strings.Contains(neighbour.Log(), "status listener not open") {
		t.Error("the taken port is not told")
	}
	first.Stop()
	neighbour.Until("the neighbour to have its port", func() bool {
		return strings.Contains(neighbour.Log(), "status listener open") && neighbour.Health().Ready
	})
	third.Stop()
}

// TestFault33StormsOfSignalsAreOrderly: signals of every kind, in any number, at any moment.
func TestFault33StormsOfSignalsAreOrderly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	for range 300 {
		p.Signal(syscall.SIGHUP)
		p.Signal(syscall.SIGPIPE)
	}
	w.Next("chat")
	for range 50 {
		p.Signal(syscall.SIGHUP)
		p.Signal(syscall.SIGTERM)
	}
	if code := p.Wait(); code != 0 {
		t.Errorf("a storm of signals: exit code %d, want 0", code)
	}
	if n := strings.Count(w.Log(), "msg=stopped"); n != 1 {
		t.Errorf("it stopped %d times, want once", n)
	}
	for range starts {
		begun := len(w.Log())
		p := w.Start()
		pause(time.Duration(rand.IntN(300)) * time.Millisecond)
		code := p.End(syscall.SIGTERM)
		// Before main nobody listens: then the signal itself is the end, and nothing was begun.
		if code != 0 && (code != -1 || len(w.Log()) > begun) {
			t.Errorf("SIGTERM in the start: exit code %d, want 0; the log:\n%s", code, w.Log()[begun:])
		}
	}
	last := w.start(t)
	if h := w.Health(); !h.Store.OK || h.Store.CorruptMoved != "" {
		t.Errorf("the store after the storms: %+v", h.Store)
	}
	last.Stop()
}

// TestFault23RotationUnderLoadSendsNoHalfKey: the key file is replaced again and again while forty checks use it.
func TestFault23RotationUnderLoadSendsNoHalfKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	door := newDoor(t)
	file := filepath.Join(w.Dir, "key")
	rotate := func(key string) {
		door.accept(key)
		if err := os.WriteFile(file+".new", []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	rotate("key-number-0-0123456789abcdef")
	w.Write(door.config(w, fmt.Sprintf("{file: %s}", file)))
	p := w.Start()
	w.UntilReady()
	for i := range rotations {
		key := fmt.Sprintf("key-number-%d-0123456789abcdef", i+1)
		rotate(key)
		w.Until("requests with the new key", func() bool { return door.count(key) > 20 })
	}
	if strangers := door.strangers(); len(strangers) > 0 {
		t.Errorf("%d requests carried something that was never a key", len(strangers))
	}
	p.Stop()
}

// TestFault23AStormOf401AsksForTheKeyOnceASecond: every answer is a 401, and the key comes from a program.
func TestFault23AStormOf401AsksForTheKeyOnceASecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	door := newDoor(t)
	program, calls := filepath.Join(w.Dir, "get-key"), filepath.Join(w.Dir, "calls")
	text := fmt.Sprintf("#!/bin/sh\necho x >> %s\necho a-key-that-is-refused-0123\n", calls)
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	w.Write(door.config(w, fmt.Sprintf("{command: [%s]}", program)))
	began := time.Now()
	p := w.Start()
	w.UntilReady()
	w.Until("a storm", func() bool { return door.count("a-key-that-is-refused-0123") > 120 })
	p.Stop()
	asked, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	if got, most := strings.Count(string(asked), "x"), int(time.Since(began)/time.Second)+2; got > most {
		t.Errorf("%d requests were refused and the program was started %d times, want at most %d", door.count("a-key-that-is-refused-0123"), got, most)
	}
	for _, r := range w.Reports() {
		if r.Report.Status == checks.Failed && r.Report.Cause != checks.CauseAuth {
			t.Errorf("a refused key is %s, want auth", r.Report.Cause)
		}
	}
}
