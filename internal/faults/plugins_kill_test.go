package faults_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/status"
)

// lake is a world with two plugins under load: one serves checks, the other writes every record to files. Its programs have
// names of their own on the disk, by which their processes are found.
type lake struct {
	*world
	folder string // of the files
	cgroup string // the agent's, to divide; "" where this host gives none away
}

func newLake(t *testing.T) *lake {
	t.Helper()
	w := &lake{world: pluginWorld(t), cgroup: delegated(t)}
	w.folder = filepath.Join(w.Dir, "lake")
	if err := os.Mkdir(w.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"windsock": binary, "shop": program(t, "shop"), "ndjson": program(t, "ndjson")} {
		if err := os.Link(from, filepath.Join(w.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w.Binary = filepath.Join(w.Dir, "windsock")
	w.Env = append(w.Env, "RUNTIME_DIRECTORY="+filepath.Join(w.Dir, "run"))
	var load strings.Builder
	for i := range 20 {
		name, says := fmt.Sprint("even-", i), "ok"
		if i%2 == 1 {
			name, says = fmt.Sprint("odd-", i), []string{"slow", "failed"}[i/2%2]
		}
		fmt.Fprintf(&load, "  - {name: load-%s, kind: shop/login, schedule: \"@every 1s\", timeout: 900ms, with: {url: \"http://shop\", wait: 50ms, says: %s}}\n", name, says)
	}
	text := w.config(w.otlp()+fmt.Sprintf("  - {name: lake, kind: ndjson/file, timeout: 2s, with: {folder: %s, max_size: 65536}}\n", w.folder), fmt.Sprintf(
		"concurrency: {global: 64, per_host: 64}\nplugins:\n  shop: {path: %s}\n  ndjson: {path: %s, write: [%s]}\n",
		filepath.Join(w.Dir, "shop"), filepath.Join(w.Dir, "ndjson"), w.folder))
	w.Write(strings.Replace(text, "exporters:\n", load.String()+"exporters:\n", 1))
	w.windsock(t, 0, "plugins", "lock")
	return w
}

// delegated is a control group that an agent may divide; "" where nobody gives one to this test.
func delegated(t *testing.T) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		dir := filepath.Join(root, "windsock-kill-test-"+strconv.Itoa(os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		has, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil || !strings.Contains(string(has), "memory") || !strings.Contains(string(has), "pids") ||
			unix.Setxattr(dir, "trusted.delegate", []byte("1"), 0) != nil {
			_ = os.Remove(dir)
			continue
		}
		t.Cleanup(func() {
			_ = os.Remove(filepath.Join(dir, "agent"))
			if err := os.Remove(dir); err != nil {
				t.Errorf("the control group is not empty: %v", err)
			}
		})
		return dir
	}
	t.Log("this host gives no control group away: what is left of them is not looked at")
	return ""
}

// start starts the agent, in its control group where there is one.
func (w *lake) start() *agenttest.Process {
	if w.cgroup == "" {
		return w.Start()
	}
	return w.Start("sh", "-c", fmt.Sprintf(`echo $$ > %s/cgroup.procs && exec "$0" "$@"`, w.cgroup))
}

// atWork waits until both plugins are ready and work, and returns their processes.
func (w *lake) atWork(t *testing.T) []int {
	t.Helper()
	var pids []int
	var told []status.Plugin
	defer func() {
		if t.Failed() {
			t.Logf("the plugins, of which %d are ready: %+v", len(pids), told)
		}
	}()
	size := func() int64 {
		info, err := os.Stat(filepath.Join(w.Dir, "stdout"))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	before := size()
	w.Until("both plugins at work", func() bool {
		pids, told = nil, w.Health().Plugins
		for _, p := range told {
			if p.State == "ready" && p.PID > 0 {
				pids = append(pids, p.PID)
			}
		}
		return len(pids) == 2 && size() > before
	})
	return pids
}

// running are the processes of a program below the world's folder, by process id.
func (w *lake) running() map[int]string {
	out := map[int]string{}
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		exe, err := os.Readlink(link)
		pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil && strings.HasPrefix(exe, w.Dir+"/") {
			out[pid] = filepath.Base(exe)
		}
	}
	return out
}

// nothingLeft wants the agent's end to be that of everything that it started.
func (w *lake) nothingLeft(t *testing.T, after string) {
	t.Helper()
	for end := time.Now().Add(agenttest.Patience); len(w.running()) > 0; pause(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s there still run %v", after, w.running())
		}
	}
}

// lines are the ids of the records in the files, in order.
func (w *lake) lines(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.folder, "*.ndjson"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file in the lake (%v)", err)
	}
	number := func(name string) int {
		n, err := strconv.Atoi(regexp.MustCompile(`-(\d+)\.ndjson$`).FindStringSubmatch(name)[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	slices.SortFunc(files, func(a, b string) int { return number(a) - number(b) })
	var out []string
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		all := bufio.NewScanner(f)
		all.Buffer(nil, 1<<20)
		for all.Scan() {
			var r checks.Record
			if err := json.Unmarshal(all.Bytes(), &r); err != nil || r.ID == "" {
				t.Errorf("%s holds %q, which is no record: %v", filepath.Base(name), all.Bytes(), err)
			}
			out = append(out, r.ID)
		}
		_ = f.Close()
	}
	return out
}

// TestFault35KillsOfPluginsAndAgentLoseNothingAndLeaveNothing: kill -9 of the plugins, of the agent, of both, one after the
// other, while twenty checks a second run in one plugin and every record is written by another. What is stored is in the files
// once and in order, and at the backend; every slot is told once; nothing is left running. In `make test-faults` sixty times.
func TestFault35KillsOfPluginsAndAgentLoseNothingAndLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newLake(t)
	p := w.start()
	for i := range pluginKills {
		pids := w.atWork(t)
		pause(time.Duration(rand.IntN(400)) * time.Millisecond)
		what := []string{"the plugins", "the agent", "both"}[i%3]
		if found := w.running(); found[p.PID] != "windsock" || !slices.Contains([]string{"shop", "ndjson"}, found[pids[0]]) || len(found) < 3 {
			t.Fatalf("the processes %d and %v are not among those that are found: %v", p.PID, pids, found)
		}
		if what != "the agent" {
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if what != "the plugins" {
			p.End(syscall.SIGKILL)
			w.nothingLeft(t, "kill -9 of "+what)
			p = w.start()
		}
	}
	w.atWork(t)
	h := w.Health()
	if s := h.Schedule; s.Scheduled != s.Done+s.Skipped+s.Missed+int64(s.Running) {
		t.Errorf("%d slots are not %d done, %d skipped, %d missed and %d running", s.Scheduled, s.Done, s.Skipped, s.Missed, s.Running)
	}
	if !h.Store.OK || h.Store.CorruptMoved != "" || h.Store.RingDropped > 0 {
		t.Errorf("the store after %d kills: %+v", pluginKills, h.Store)
	}
	w.Until("the queues to be short", func() bool { return w.exporter("lake").Queue < 50 && w.exporter("collector").Queue < 50 })
	p.Stop()
	w.nothingLeft(t, "a clean end")
	w.judge(t)
}

// judge compares what is stored with what came out, and looks for what is left.
func (w *lake) judge(t *testing.T) {
	t.Helper()
	stored := w.Stored()
	var ids []string
	for _, r := range stored {
		ids = append(ids, r.ID)
		if r.Report != nil && strings.HasPrefix(r.Report.Check, "load-even-") && r.Report.Status == checks.Failed {
			t.Errorf("a kill is told as the target's fault: %+v", r.Report)
		}
	}
	if lines := w.lines(t); !slices.Equal(lines, ids) {
		t.Errorf("the %d lines of the files are not the %d stored records in their order: %s", len(lines), len(ids), firstDifference(lines, ids))
	}
	if n := missing(stored, w.collector.IDs()); n > 0 {
		t.Errorf("the backend misses %d of %d records", n, len(stored))
	}
	if order := w.collector.Order(); !slices.Equal(order, ids) {
		t.Errorf("the backend had the records in another order: %s", firstDifference(order, ids))
	}
	tiled(t, stored, "load-", time.Second)
	if left, _ := os.ReadDir(filepath.Join(w.Dir, "run", "p")); len(left) > 0 {
		t.Errorf("folders of sockets are left: %v", left)
	}
	if w.cgroup != "" {
		if left, _ := filepath.Glob(filepath.Join(w.cgroup, "plugin-*")); len(left) > 0 {
			t.Errorf("control groups are left: %v", left)
		}
	}
	t.Logf("%d kills, %d records", pluginKills, len(stored))
}

// firstDifference tells where two lists part.
func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("number %d is %s, want %s", i, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d and %d, the same as far as they go", len(got), len(want))
}
