package faults_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/status"
)

// programs are the plugins of these tests, each built once, when a test needs one.
//
//nolint:gochecknoglobals // built by the first test that needs them and never again
var programs = sync.OnceValues(func() (map[string]string, error) {
	built := map[string]string{
		"shop":   "github.com/windsock-monitor/windsock/plugins/sdk/testdata/plugin",
		"bad":    "github.com/windsock-monitor/windsock/internal/pluginhost/testdata/bad",
		"ndjson": "github.com/windsock-monitor/windsock/plugins/examples/ndjson-file",
	}
	for name, source := range built {
		path := filepath.Join(filepath.Dir(binary), "plugin-"+name)
		cmd := exec.CommandContext(context.Background(), "go", "build", "-o", path, source)
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building %s: %w: %s", source, err, out)
		}
		built[name] = path
	}
	return built, nil
})

// pluginWorld is a world in whose folder plugins may stand, whatever the umask is.
func pluginWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if err := os.Chmod(w.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

// program is the path of a plugin.
func program(t *testing.T, name string) string {
	t.Helper()
	all, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return all[name]
}

// windsock runs a verb of the agent's program beside its configuration, and returns what it prints.
func (w *world) windsock(t *testing.T, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir, cmd.Env = w.Dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.Dir}, w.Env...) //nolint:forbidigo // a test's command needs a path
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		t.Errorf("windsock %s: exit code %d, want %d: %s%s", strings.Join(args, " "), code, wantCode, &out, &errs)
	}
	return out.String(), errs.String()
}

// locked asks programs what they are, by the verb for it.
func (w *world) locked(t *testing.T, names ...string) *manifest.Lock {
	t.Helper()
	var entries strings.Builder
	for _, name := range names {
		fmt.Fprintf(&entries, "  %s: {path: %s}\n", name, program(t, name))
	}
	w.Write(w.config("", "plugins:\n"+entries.String()))
	w.windsock(t, 0, "plugins", "lock")
	lock, err := manifest.ReadLock(filepath.Join(w.Dir, manifest.LockName))
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// put writes a file of the test's folder and returns its path.
func (w *world) put(t *testing.T, name string, data []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(w.Dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err == nil {
		err = os.Chmod(path, mode) // whatever the umask is
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// badPlugin is one entry, what is wrong with it, and what people are told.
type badPlugin struct {
	entry string // its text, on one line, behind `NAME: `
	lock  func(*manifest.Locked)
	says  string // a regular expression: the fault
	out   string // and the way out
	file  bool   // `windsock validate` finds it, which starts nothing
}

// badPlugins are all of them, by the names of their entries, beside a good one that is called shop.
func (w *world) badPlugins(t *testing.T) map[string]badPlugin {
	t.Helper()
	bad, shop := program(t, "bad"), program(t, "shop")
	whole, err := os.ReadFile(bad)
	if err != nil {
		t.Fatal(err)
	}
	arm := append([]byte(nil), whole...)
	copy(arm[18:20], []byte{0xb7, 0}) // the machine, in the header of an ELF file: arm64
	link := filepath.Join(w.Dir, "linked")
	if err := os.Symlink(bad, link); err != nil {
		t.Fatal(err)
	}
	inOpen := w.put(t, "open/bad", whole, 0o755)
	if err := os.Chmod(filepath.Dir(inOpen), 0o777); err != nil {
		t.Fatal(err)
	}
	at := func(path string) string { return "{path: " + path + "}" }
	mode := func(mode string) string { return fmt.Sprintf("{path: %s, env: {BAD_MODE: %s}}", bad, mode) }
	other := strings.Repeat("ab", 32)
	return map[string]badPlugin{
		"missing":    {entry: at("/nonexistent/plugin"), says: `there is no file "/nonexistent/plugin"|"/nonexistent" is missing`, out: "put the program there"},
		"plain":      {entry: at(w.put(t, "plain", whole, 0o644)), says: `plain" is not executable`, out: "chmod 0755"},
		"writable":   {entry: at(w.put(t, "writable", whole, 0o777)), says: `others can write ".*/writable"`, out: "chmod go-w"},
		"folder":     {entry: at(inOpen), says: `others can write ".*/open"`, out: "chmod go-w"},
		"link":       {entry: at(link), says: `is a symbolic link to`, out: "write that path"},
		"replaced":   {entry: at(bad), lock: func(l *manifest.Locked) { l.SHA256 = other }, says: "has the SHA-256 .* and (ab){32} was locked", out: "windsock plugins lock"},
		"pinned":     {entry: fmt.Sprintf("{path: %s, sha256: %s}", bad, other), says: "the digest is not the one in plugins.lock", out: "windsock plugins lock", file: true},
		"arm":        {entry: at(w.put(t, "arm", arm, 0o755)), says: "is built for arm64, and this host is", out: "install the build for"},
		"script":     {entry: at(w.put(t, "script", []byte("#!/bin/sh\necho hello\n"), 0o755)), says: "is a script of /bin/sh", out: "a check of kind exec"},
		"foreign":    {entry: mode("other"), says: "it is a plugin of another program", out: "correct the path"},
		"future":     {entry: mode("future"), says: "it speaks version 2 of the protocol, this agent speaks 1", out: "update the agent"},
		"shade":      {entry: at(bad), lock: renamed, says: "its kind \"chat\" has the name of a built-in check", out: "its author", file: true},
		"unlocked":   {entry: at(bad), lock: func(l *manifest.Locked) { l.Manifest.Name = "somebody-else" }, says: "is not in plugins.lock", out: "windsock plugins lock", file: true},
		"bad":        {entry: mode("updated"), says: `it is not the one that was locked \(version: "1.0.0" is now "2.0.0"\)`, out: "windsock plugins lock"},
		"alias":      {entry: at(shop), says: `the program calls itself "shop"`, out: `give the entry that name`},
		"twice":      {entry: at(bad) + "\n  twice: " + at(bad), says: "two plugins are called \"twice\", the first in line", out: "keep one of them", file: true},
		"quits":      {entry: mode("quits"), says: `ended with status 3; it said "usage: bad FILE"`, out: "is it a plugin"},
		"eavesdrops": {entry: mode("elsewhere"), says: "it listens on /run/docker.sock", out: "want a socket in PLUGIN_UNIX_SOCKET_DIR"},
	}
}

// badWorld writes a configuration with one good plugin and all the bad ones, with their lock.
func badWorld(t *testing.T) (*world, map[string]badPlugin) {
	t.Helper()
	w := pluginWorld(t)
	all, lock := w.badPlugins(t), w.locked(t, "shop", "bad")
	like, _ := lock.Find("bad")
	good, _ := lock.Find("shop")
	var entries, uses strings.Builder
	fmt.Fprintf(&entries, "plugins:\n  shop: {path: %s}\n", program(t, "shop"))
	use := func(name, kind, with string) {
		fmt.Fprintf(&uses, "  - {name: %s, kind: %s, schedule: \"@every 1s\", timeout: 900ms, run_at_start: true, with: {%s}}\n", name, kind, with)
	}
	use("good", "shop/login", "url: http://shop")
	use("odd-shop", "shop/login", "url: http://shop, retries: many")
	for name, b := range all {
		fmt.Fprintf(&entries, "  %s: %s\n", name, b.entry)
		l, kind := like, "probe"
		if name == "alias" {
			l, kind = good, "login"
		}
		l.Manifest.Name, l.Manifest.Kinds = name, append([]manifest.Kind(nil), l.Manifest.Kinds...)
		if name == "arm" || name == "script" {
			l.SHA256 = sumOf(t, filepath.Join(w.Dir, name))
		}
		if b.lock != nil {
			b.lock(&l)
		}
		lock.Set(l)
		use("odd-"+name, name+"/"+kind, map[string]string{"login": "url: http://shop"}[kind])
	}
	if err := lock.Write(filepath.Join(w.Dir, manifest.LockName)); err != nil {
		t.Fatal(err)
	}
	const sinks = "  - {name: odd-sink-replaced, kind: replaced/sink, timeout: 1s}\n  - {name: odd-sink-twice, kind: twice/sink, timeout: 1s}\n"
	w.Write(strings.Replace(w.config(sinks, entries.String()), "exporters:\n", uses.String()+"exporters:\n", 1))
	all["shop"] = badPlugin{says: `got string, want integer \(shop/login\)`, out: "want integer", file: true}
	return w, all
}

// renamed gives the check of the plugin the name of a built-in one.
func renamed(l *manifest.Locked) {
	for i, k := range l.Manifest.Kinds {
		if k.Name == "probe" {
			l.Manifest.Kinds[i].Name = "chat"
		}
	}
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// places are where the configuration has what is wrong with a plugin: its entry, and for the good plugin the check that uses
// it wrongly.
func (w *world) places(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(w.Config)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	entry, check := regexp.MustCompile(`^  ([a-z-]+): \{path`), regexp.MustCompile(`^  - \{name: odd-shop`)
	for i, line := range strings.Split(string(text), "\n") {
		if found := entry.FindStringSubmatch(line); found != nil && found[1] != "shop" {
			out[found[1]] = fmt.Sprintf(`\S*/schedules\.yaml:%d:\d+: `, i+1) // of two with one name the second
		}
		if check.MatchString(line) {
			out["shop"] = fmt.Sprintf(`\S*/schedules\.yaml:%d:\d+: `, i+1)
		}
	}
	return out
}

// said are what a page of problems says of a plugin.
func said(all []status.Problem, plugin string) []status.Problem {
	var out []status.Problem
	for _, p := range all {
		if p.Part == "plugin "+plugin {
			out = append(out, p)
		}
	}
	return out
}

// TestFault34APluginThatCannotBeUsedHarmsOnlyItsOwnChecks: a good plugin beside one of every bad kind. Each is told in one
// sentence with its place and the way out, on the page and by the verbs; the good one and the built-in kinds go on.
func TestFault34APluginThatCannotBeUsedHarmsOnlyItsOwnChecks(t *testing.T) {
	t.Parallel()
	w, all := badWorld(t)
	p := w.Start()
	w.UntilReady()
	var h status.Health
	w.Until("every plugin to be told", func() bool {
		h = w.Health()
		for name := range all {
			if len(said(h.Problems, name)) == 0 {
				return false
			}
		}
		return true
	})
	places := w.places(t)
	for name, b := range all {
		got := said(h.Problems, name)
		want := "^" + places[name] + "(?s:.*)" + b.says
		if len(got) != 1 || !matches(want, got[0].What) || !matches(b.out, got[0].What+"; "+got[0].Hint) || strings.Contains(got[0].What, "\n") {
			t.Errorf("/health says of the plugin %s:\n%q\nwant once %q, and the way out: %q", name, got, want, b.out)
		}
		r := w.Next("odd-" + name)
		if r.Status != checks.Error || r.Cause != checks.CauseConfig && r.Cause != checks.CauseInternal ||
			!strings.HasPrefix(r.Summary, "plugin "+name+": ") || !matches(b.says, r.Summary) {
			t.Errorf("the check of the plugin %s is %s %s (%s), want an error of ours that says %q", name, r.Status, r.Cause, r.Summary, b.says)
		}
	}
	for _, name := range []string{"replaced", "twice"} {
		w.Until("the exporter of the plugin "+name+" to be told", func() bool {
			return matches(all[name].says, w.Problem("exporter odd-sink-"+name))
		})
		if e := w.exporter("odd-sink-" + name); e.Queue == 0 {
			t.Errorf("the exporter of the plugin %s has lost its records: %+v", name, e)
		}
	}
	for _, check := range []string{"good", "models", "chat"} {
		if r := w.Next(check); r.Status != checks.OK {
			t.Errorf("beside the bad plugins the check %s is %s %s (%s), want ok", check, r.Status, r.Cause, r.Summary)
		}
	}
	p.Stop()
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// TestFault34TheVerbsSayWhatIsWrongWithEveryPlugin: before the agent is started, and with the same words.
func TestFault34TheVerbsSayWhatIsWrongWithEveryPlugin(t *testing.T) {
	t.Parallel()
	w, all := badWorld(t)
	places := w.places(t)
	out, _ := w.windsock(t, 3, "plugins", "verify", "--config", w.Config, "--output", "json")
	var findings []agent.Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		t.Fatalf("plugins verify prints %q: %v", out, err)
	}
	lines := map[string]string{}
	for _, f := range findings {
		if !f.OK {
			lines[f.Subject] = f.Detail + "; " + f.Hint
		}
	}
	validated, _ := w.windsock(t, 2, "validate", "--config", w.Config, "--output", "json")
	for name, b := range all {
		line := lines["plugin "+name]
		for subject, text := range lines { // what is wrong with a use stands under its place
			if name == "shop" && matches(strings.TrimSuffix(places["shop"], ": "), subject) {
				line = subject + ": " + text
			}
		}
		if !matches(places[name], line) || !matches(b.says, line) || !matches(b.out, line) {
			t.Errorf("plugins verify says of the plugin %s:\n%q\nwant %s%s, and the way out: %q", name, line, places[name], b.says, b.out)
		}
		if b.file != matches(strings.ReplaceAll(b.says, `"`, `\\"`), validated) {
			t.Errorf("validate says %q: %v, want %v; it prints %s", b.says, !b.file, b.file, validated)
		}
	}
}

// TestFault34ALockOfNoUseStopsPluginsAndNothingElse: a schema in it does not compile, or it is no lock at all.
func TestFault34ALockOfNoUseStopsPluginsAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		damage func(string) string
		says   string
	}{
		"a schema that does not compile": {func(lock string) string { return strings.Replace(lock, `"type": "object"`, `"type": "thing"`, 1) }, "plugins.lock: plugin \"(shop|bad)\": kind .*schema"},
		"half a file":                    {func(lock string) string { return lock[:len(lock)/2] }, `plugins.lock: line \d+: not the JSON of a lock`},
		"a lock of a newer version":      {func(lock string) string { return strings.Replace(lock, `"version": 1`, `"version": 2`, 1) }, "plugins.lock: it is a lock of version 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := pluginWorld(t)
			lock, err := w.locked(t, "shop", "bad").Bytes()
			if err != nil {
				t.Fatal(err)
			}
			w.put(t, manifest.LockName, []byte(test.damage(string(lock))), 0o644)
			const use = "  - {name: good, kind: shop/login, schedule: \"@every 1s\", timeout: 900ms, with: {url: \"http://shop\"}}\n"
			text, err := os.ReadFile(w.Config)
			if err != nil {
				t.Fatal(err)
			}
			w.Write(strings.Replace(string(text), "exporters:\n", use+"exporters:\n", 1))
			p := w.Start()
			w.UntilReady()
			h := w.Health()
			for _, plugin := range []string{"shop", "bad"} {
				got := said(h.Problems, plugin)
				if len(got) != 1 || !matches(`^\S*/schedules\.yaml:\d+:\d+: .*`+test.says, got[0].What) || !matches("windsock plugins lock", got[0].What+got[0].Hint) {
					t.Errorf("/health says of the plugin %s: %q, want once that %s", plugin, got, test.says)
				}
			}
			if r := w.Next("good"); r.Status != checks.Error || r.Cause != checks.CauseConfig || !matches("^plugin shop: .*"+test.says, r.Summary) {
				t.Errorf("the plugin's check is %s %s (%s)", r.Status, r.Cause, r.Summary)
			}
			if r := w.Next("models"); r.Status != checks.OK {
				t.Errorf("the built-in check is %s %s (%s), want ok", r.Status, r.Cause, r.Summary)
			}
			p.Stop()
			if out, errs := w.windsock(t, 2, "validate", "--config", w.Config); strings.Count(out+errs, "plugins.lock") < 1 {
				t.Errorf("validate says %s%s", out, errs)
			}
			w.windsock(t, 0, "plugins", "lock") // the way out
			again := w.Start()
			w.UntilReady()
			w.Until("the plugin to be well", func() bool { return w.Next("good").Status == checks.OK })
			again.Stop()
		})
	}
}
