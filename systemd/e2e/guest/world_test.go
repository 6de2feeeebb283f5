//go:build e2e

package guest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/status"
)

const (
	oldPackage = "/e2e/old.deb"
	newPackage = "/e2e/new.deb"
	oldVersion = "0.1.0"
	newVersion = "0.2.0"

	config   = "/etc/windsock/schedules.yaml"
	keyFile  = "/etc/windsock/secrets/mistral"
	stateDir = "/var/lib/windsock"
	unit     = "windsock.service"

	apiAddress  = "127.0.0.1:8080"
	sinkAddress = "127.0.0.1:4318"
	listen      = "127.0.0.1:9188"

	firstKey  = "key-first-CANARY-5b0e1d"
	secondKey = "key-second-CANARY-a94c72"
)

// patience is how long a test waits for what must come, where it says nothing else.
const patience = 60 * time.Second

// world is a machine with a Mistral API and a collector on its loopback.
type world struct {
	t        *testing.T
	sink     *agenttest.Collector
	endSink  func()
	patience time.Duration // how long it waits for what must come
}

// newWorld starts the world and waits until systemd has booted. The API accepts the first key only.
func newWorld(t *testing.T) *world {
	t.Helper()
	if _, err := os.Stat("/.command"); err != nil {
		t.Fatal("this is no machine of systemd/e2e, and what follows would change it")
	}
	w := &world{t: t, patience: patience}
	w.endSink = w.serve()
	t.Cleanup(func() { w.endSink() })
	w.simulate()
	if out, code := w.try("systemctl", "is-system-running", "--wait"); code != 0 {
		t.Fatalf("systemd has not booted well: %s\n%s", out, w.run("systemctl", "--failed"))
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := w.try("sh", "-c", "systemctl status --no-pager -n 0 'windsock*'; journalctl --no-pager -n 100 -o short-precise -u 'windsock*' | grep -v '{.type.:' | cut -c 1-400")
			t.Logf("at the end:\n%s", out)
		}
	})
	return w
}

// serve begins a collector, which the function that is returned ends.
func (w *world) serve() (end func()) {
	w.t.Helper()
	w.sink = agenttest.NewCollector()
	server := &http.Server{Handler: w.sink}
	listener := agenttest.Listener(w.t, sinkAddress)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			w.t.Error(err)
		}
	})
	return func() { _ = server.Close(); serving.Wait() }
}

// afresh takes away the agent's state and drop-ins, what the collector has, and the journal.
func (w *world) afresh() {
	w.t.Helper()
	w.try("systemctl", "stop", unit)
	w.try("systemctl", "reset-failed", unit)
	w.run("rm", "-rf", stateDir, "/etc/systemd/system/windsock.service.d", "/run/systemd/system.control")
	w.run("systemctl", "daemon-reload")
	w.run("journalctl", "-q", "--sync")
	w.run("journalctl", "-q", "--rotate")
	w.run("journalctl", "-q", "--vacuum-time=1us")
	w.endSink()
	w.endSink = w.serve()
}

func (w *world) simulate() {
	w.t.Helper()
	api := exec.CommandContext(w.t.Context(), "/e2e/product/usr/bin/windsock", "simulate", "--listen", apiAddress, "--speed", "100", "--key", firstKey)
	if err := api.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = api.Process.Kill(); _ = api.Wait() })
	w.until("the simulator to answer", func() bool { code, _ := get("http://" + apiAddress + "/admin/stats"); return code == http.StatusOK })
}

// keys makes the API accept a key, or refuse it.
func (w *world) keys(what, key string) {
	w.t.Helper()
	resp, err := http.Post("http://"+apiAddress+"/admin/keys", "application/json", strings.NewReader(fmt.Sprintf("{%q:%q}", what, key))) //nolint:noctx // on loopback
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		w.t.Fatalf("the simulator's answer to a change of keys is %s", resp.Status)
	}
}

// try runs a command and returns all that it printed, and its exit code.
func (w *world) try(argv ...string) (out string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), 2*patience) // cleanups run commands too
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0")
	said, err := cmd.CombinedOutput()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		w.t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return string(said), cmd.ProcessState.ExitCode()
}

// run runs a command that must end well.
func (w *world) run(argv ...string) string {
	w.t.Helper()
	out, code := w.try(argv...)
	if code != 0 {
		w.t.Fatalf("%s: exit code %d\n%s", strings.Join(argv, " "), code, out)
	}
	return strings.TrimSpace(out)
}

// sh runs a line of the shell that must end well.
func (w *world) sh(line string) string { w.t.Helper(); return w.run("sh", "-ec", line) }

// until waits for what must come.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(w.patience); time.Now().Before(deadline); <-tick.C {
		if holds() {
			return
		}
	}
	w.t.Fatalf("waited %s for %s", w.patience, what)
}

// install puts a package on the machine.
func (w *world) install(path string) string { w.t.Helper(); return w.run("dpkg", "-i", path) }

// installed is a world with a package, the key in place, and a configuration with a check each second.
func installed(t *testing.T, path string) *world {
	t.Helper()
	w := newWorld(t)
	w.install(path)
	w.key(keyFile, firstKey)
	w.write(config, plain())
	return w
}

// key puts a key into a file as the documents say, by rename.
func (w *world) key(path, key string) {
	w.t.Helper()
	w.write(path+".new", key+"\n")
	w.run("chown", "root:windsock", path+".new")
	w.run("chmod", "0640", path+".new")
	w.run("mv", path+".new", path)
}

// write writes a file; the owner and the mode of one that is there stay.
func (w *world) write(path, text string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(path string) string {
	w.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// dropIn gives the unit more lines, from the next start on.
func (w *world) dropIn(lines string) {
	w.t.Helper()
	w.write("/etc/systemd/system/windsock.service.d/test.conf", lines)
	w.run("systemctl", "daemon-reload")
}

// setup is a configuration in parts.
type setup struct{ listen, key, checks, exporters, more string }

// plain is the setup of most tests as a file.
func plain() string { return setup{}.text() }

// text is the file: the free list and a chat each second, every record as an event to the collector and as a line to the
// journal.
func (s setup) text() string {
	def := func(value *string, otherwise string) {
		if *value == "" {
			*value = otherwise
		}
	}
	def(&s.listen, listen)
	def(&s.key, "{file: "+keyFile+"}")
	return fmt.Sprintf(`location: here
listen: %s
grace: 5s
providers:
  mistral: {base_url: "http://%s", api_key: %s, stall_after: 1s, breaker: {failures: 1000, reset: 60s}}
checks:
  - {name: models, kind: models, schedule: "@every 1s", timeout: 900ms, with: {expect: [mistral-small-latest]}}
  - {name: chat, kind: chat, schedule: "@every 1s", timeout: 900ms, with: {model: mistral-small-latest}}
%sexporters:
  - {name: lines, kind: stdout, with: {format: json}}
  - {name: collector, kind: otel, timeout: 1s, with: {endpoint: "http://%s", events: all}}
%sbudget: {per_hour: 5, per_day: 50}
%s`, s.listen, apiAddress, s.key, s.checks, sinkAddress, s.exporters, s.more)
}

// start starts the agent, and waits until results arrive.
func (w *world) start() {
	w.t.Helper()
	w.run("systemctl", "start", unit)
	w.more()
}

// property is what systemd says of the unit.
func (w *world) property(name string) string { w.t.Helper(); return w.propertyOf(unit, name) }

func (w *world) propertyOf(unit, name string) string {
	w.t.Helper()
	return w.run("systemctl", "show", "--value", "-p", name, unit)
}

// pid is the agent's process.
func (w *world) pid() int {
	w.t.Helper()
	pid, err := strconv.Atoi(w.property("MainPID"))
	if err != nil {
		w.t.Fatal(err)
	}
	return pid
}

// want compares properties of the unit.
func (w *world) want(properties map[string]string) {
	w.t.Helper()
	for name, want := range properties {
		if got := w.property(name); got != want {
			w.t.Errorf("%s of the unit is %q, want %q", name, got, want)
		}
	}
}

// journal is what the unit has logged, records of the stdout exporter left out.
func (w *world) journal() []string {
	w.t.Helper()
	w.run("journalctl", "--sync")
	var lines []string
	for line := range strings.Lines(w.run("journalctl", "-q", "-o", "cat", "-u", unit, "-a")) {
		if !strings.HasPrefix(line, `{"type":`) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// soon is what f finds in the journal, which has the last words of a process a moment after its end.
func soon(f func() []string) (lines []string) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if lines = f(); len(lines) > 0 {
			break
		}
	}
	return lines
}

// complaints are what the last life of the agent has logged as errors.
func (w *world) complaints() []string { w.t.Helper(); return soon(w.complained) }

func (w *world) complained() []string {
	w.t.Helper()
	all := w.journal()
	began := 0
	for i, line := range all {
		if strings.HasPrefix(line, "Starting windsock.service") {
			began = i
		}
	}
	var lines []string
	for _, line := range all[began:] {
		if strings.HasPrefix(line, "windsock: ") || strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
	}
	return lines
}

// tells are the lines of the journal that match; what must be there may come a moment later.
func (w *world) tells(form string) []string {
	w.t.Helper()
	return soon(func() []string { return w.said(form) })
}

// said are the lines of the journal that match now.
func (w *world) said(form string) []string {
	w.t.Helper()
	var found []string
	for _, line := range w.journal() {
		if regexp.MustCompile(form).MatchString(line) {
			found = append(found, line)
		}
	}
	return found
}

// health is what the agent says of itself; its zero value where nobody answers.
func (w *world) health() status.Health {
	var h status.Health
	if _, body := get("http://" + listen + "/health"); json.Unmarshal([]byte(body), &h) != nil {
		return status.Health{}
	}
	return h
}

func get(url string) (code int, body string) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url) //nolint:noctx // bounded
	if err != nil {
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(data)
}

func uid(t *testing.T, name string) string {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return u.Uid
}
