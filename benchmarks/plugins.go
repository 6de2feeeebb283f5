package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	execcheck "github.com/windsock-monitor/windsock/checks/exec"
	"github.com/windsock-monitor/windsock/internal/spawn"
)

// pluginTold is one number of the scenario plugins, beside the least that it can be.
type pluginTold struct {
	What     string  `json:"what"`
	Goal     string  `json:"goal,omitempty"`
	Unit     string  `json:"unit"`
	Measured float64 `json:"measured"`
	Floor    float64 `json:"floor"`
	Load     float64 `json:"load"` // of the machine, over the last minute
	Note     string  `json:"note"` // what the floor is
}

// effort is how much is measured.
type effort struct {
	starts, blocks, calls, batches int // calls and batches are of each block
	restarts, idle, commands       int
	warm, long                     time.Duration
}

// pluginRound measures plugins once: starts, runs and batches through the agent's host of plugins in this process, and the
// agent as it is shipped with none, one and many.
func (o *options) pluginRound(ctx context.Context, rep *report, s setting, stderr io.Writer) (err error) {
	e := effort{starts: 40, blocks: 20, calls: 500, batches: 20, restarts: 300, idle: 50, commands: 40, warm: s.Warm, long: s.For}
	dir, err := os.MkdirTemp("", "wb")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := openPluginBench(ctx, dir)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		measure func() ([]pluginTold, error)
	}{
		{"starts", func() ([]pluginTold, error) { return b.starts(ctx, e) }},
		{"runs and batches", func() ([]pluginTold, error) { return b.calls(ctx, e) }},
		{"restarts", func() ([]pluginTold, error) { return b.restarts(ctx, e) }},
		{"programs", func() ([]pluginTold, error) { return commands(ctx, o.binary, e) }},
		{"the agent", func() ([]pluginTold, error) { return b.agents(ctx, o.binary, e) }},
	} {
		fmt.Fprintln(stderr, part.name)
		told, err := part.measure()
		if err != nil {
			return fmt.Errorf("measuring %s: %w", part.name, err)
		}
		for i := range told {
			told[i].Load = load()
		}
		rep.Plugins = append(rep.Plugins, told...)
	}
	return nil
}

// load is the number of processes that wanted a processor in the last minute.
func load() (one float64) {
	text, _ := os.ReadFile("/proc/loadavg")
	_, _ = fmt.Sscan(string(text), &one)
	return one
}

// writePlugins writes the table of the scenario.
func (rep *report) writePlugins(out io.Writer) error {
	if len(rep.Plugins) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what\tgoal\tmeasured\tfloor\tload\tthe floor is")
	for _, t := range rep.Plugins {
		fmt.Fprintf(table, "%s\t%s\t%s %s\t%s %s\t%.1f\t%s\n", t.What, t.Goal, digits(t.Measured), t.Unit, digits(t.Floor), t.Unit, t.Load, t.Note)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// digits is a number with as many digits as it deserves.
func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// buildPlugin makes the plugin and returns where it is and its digest.
func buildPlugin(ctx context.Context, dir string) (path, digest string, err error) {
	path = filepath.Join(dir, pluginName)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "github.com/windsock-monitor/windsock/benchmarks/plugin")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("building the plugin: %w: %s", err, out)
	}
	data, err := os.ReadFile(path)
	sum := sha256.Sum256(data)
	return path, hex.EncodeToString(sum[:]), err
}

// commands measures programs that run once: a check of the kind exec, and the agent's own.
func commands(ctx context.Context, binary string, e effort) ([]pluginTold, error) {
	spawner, err := spawn.New(spawn.Options{Directories: []string{"/usr/bin"}})
	if err != nil {
		return nil, err
	}
	check, err := execcheck.New(execcheck.Params{Argv: []string{"/usr/bin/echo", "OK"}}, checks.Env{Spawn: spawner})
	if err != nil {
		return nil, err
	}
	bare := func(argv ...string) func() error {
		return func() error {
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as the agent does
			return cmd.Run()
		}
	}
	confined := func() error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		result, err := check.Run(ctx)
		if err == nil && result.Status != checks.OK {
			err = fmt.Errorf("the check of echo is %s: %s", result.Status, result.Summary)
		}
		return err
	}
	var ran, floor, version []time.Duration
	for range e.commands {
		for _, one := range []struct {
			do   func() error
			into *[]time.Duration
		}{{confined, &ran}, {bare("/usr/bin/echo", "OK"), &floor}, {bare(binary, "version"), &version}} {
			began := time.Now()
			if err := one.do(); err != nil {
				return nil, err
			}
			*one.into = append(*one.into, time.Since(began))
		}
	}
	least := spreadOf(floor)
	const note = "os/exec alone with /usr/bin/echo"
	return []pluginTold{
		{What: "a check of the kind exec, p50", Unit: "ms", Measured: ms(spreadOf(ran).P50), Floor: ms(least.P50), Note: note},
		{What: "windsock version, p50", Unit: "ms", Measured: ms(spreadOf(version).P50), Floor: ms(least.P50), Note: note},
	}, nil
}

// agents measures the agent as it is shipped, without plugins, with one and with many.
func (b *pluginBench) agents(ctx context.Context, binary string, e effort) ([]pluginTold, error) {
	var seen []phase
	for _, n := range []int{0, 1, e.idle} {
		p, err := b.agent(ctx, binary, n, e)
		if err != nil {
			return nil, fmt.Errorf("with %d plugins: %w", n, err)
		}
		seen = append(seen, p)
	}
	const note = "the agent without plugins"
	none, one, many := seen[0], seen[1], seen[2]
	return []pluginTold{
		{What: fmt.Sprintf("the agent, %d plugins idle", e.idle), Goal: "<= 1", Unit: "% of a core", Measured: many.core(), Floor: none.core(), Note: note},
		{What: "the agent, one plugin idle", Unit: "% of a core", Measured: one.core(), Floor: none.core(), Note: note},
		{What: "its memory with one plugin", Unit: "MiB resident", Measured: mib(one.Memory.Resident), Floor: mib(none.Memory.Resident), Note: note},
		{What: "  anonymous", Unit: "MiB", Measured: mib(one.Memory.Anonymous), Floor: mib(none.Memory.Anonymous), Note: note},
		{What: fmt.Sprintf("its memory with %d", e.idle), Unit: "MiB resident", Measured: mib(many.Memory.Resident), Floor: mib(none.Memory.Resident), Note: note},
	}, nil
}

// agent runs the agent with so many plugins, which are one file, and a check of each that is never due.
func (b *pluginBench) agent(ctx context.Context, binary string, plugins int, e effort) (p phase, err error) {
	dir, err := os.MkdirTemp(b.dir, "agent")
	if err != nil {
		return p, fmt.Errorf("making a folder: %w", err)
	}
	var file, list strings.Builder
	fmt.Fprintf(&file, "state_dir: %q\nlisten: \"\"\nlocation: bench\n", filepath.Join(dir, "state"))
	for i := range plugins {
		path := filepath.Join(dir, fmt.Sprintf("p%d", i))
		if err := os.Link(b.path, path); err != nil {
			return p, fmt.Errorf("giving the plugin another name: %w", err)
		}
		fmt.Fprintf(&list, "  p%d: {path: %q}\n", i, path)
	}
	if plugins > 0 {
		file.WriteString("plugins:\n" + list.String())
	}
	file.WriteString("programs: {directories: [/usr/bin]}\nchecks:\n  - {name: none, kind: exec, schedule: \"@every 24h\", with: {argv: [/usr/bin/true]}}\n")
	for i := range plugins {
		fmt.Fprintf(&file, "  - {name: c%d, kind: p%d/noop, schedule: \"@every 24h\"}\n", i, i)
	}
	config := filepath.Join(dir, "schedules.yaml")
	if err := os.WriteFile(config, []byte(file.String()), 0o600); err != nil {
		return p, fmt.Errorf("preparing the agent: %w", err)
	}
	if plugins > 0 {
		if out, err := exec.CommandContext(ctx, binary, "plugins", "lock", "--config", config).CombinedOutput(); err != nil {
			return p, fmt.Errorf("locking the plugins: %w: %s", err, out)
		}
	}
	a, err := startAgent(ctx, binary, dir, "")
	if err != nil {
		return p, err
	}
	err = pause(ctx, e.warm)
	before, began := cpuTime(a.pid()), time.Now()
	err = errors.Join(err, pause(ctx, e.long))
	p.CPU, p.Window = cpuTime(a.pid())-before, time.Since(began).Seconds()
	p.Memory, _ = memoryOf(a.pid())
	err = errors.Join(err, a.stop())
	if got := strings.Count(a.log.String(), "plugin ready"); err == nil && got != plugins {
		err = fmt.Errorf("%d plugins became ready, want %d: %s", got, plugins, a.log)
	}
	return p, err
}
