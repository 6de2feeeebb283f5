package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pluginhost"
	pluginlaunch "github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	pluginwire "github.com/windsock-monitor/windsock/plugins/wire"
)

const (
	pluginName = "bench"
	batchSize  = 500
)

// pluginBench is a plugin as the agent has it locked.
type pluginBench struct {
	dir, path, digest string
	said              manifest.Manifest
}

func openPluginBench(ctx context.Context, dir string) (*pluginBench, error) {
	path, digest, err := buildPlugin(ctx, dir)
	if err != nil {
		return nil, err
	}
	b := &pluginBench{dir: dir, path: path, digest: digest}
	process, err := pluginlaunch.Start(ctx, pluginlaunch.Program{Name: pluginName, Path: path, Sockets: dir, MTLS: true})
	if err != nil {
		return nil, err
	}
	defer process.Stop(time.Second)
	answer, err := pluginv1.NewBasePluginClient(process.Conn()).Describe(ctx, &pluginv1.DescribeRequest{})
	if err == nil {
		b.said, err = manifest.FromWire(answer)
	}
	return b, err
}

// host is the agent's host of plugins with the plugin in it, which is not started yet.
func (b *pluginBench) host(ctx context.Context, o pluginhost.Options) (*pluginhost.Host, error) {
	o.Sockets, o.Version = filepath.Join(b.dir, "s"), "1.0.0"
	h, err := pluginhost.New(o)
	if err != nil {
		return nil, err
	}
	h.Replace(ctx, []pluginhost.Plugin{{Name: pluginName, Path: b.path, SHA256: b.digest, Manifest: b.said, MTLS: true, Policy: sandbox.Policy{Files: 256}}})
	return h, nil
}

func (b *pluginBench) instance() pluginhost.Instance {
	return pluginhost.Instance{Name: "noop", JSON: []byte("{}"), Timeout: 10 * time.Second}
}

// bare starts the plugin with go-plugin alone: its own command, certificates, no digest, no shim, no supervisor. It
// returns when the plugin has answered.
func (b *pluginBench) bare(ctx context.Context) (*grpc.ClientConn, func(), error) {
	cmd := exec.CommandContext(ctx, b.path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as the agent does: the kernel shares processors out by session
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: pluginwire.Handshake(), VersionedPlugins: map[int]plugin.PluginSet{pluginwire.Protocol: {}}, Cmd: cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, AutoMTLS: true, Logger: hclog.NewNullLogger(),
		Stderr: io.Discard, SyncStdout: io.Discard, SyncStderr: io.Discard,
	})
	served, err := client.Client()
	if err != nil {
		client.Kill()
		return nil, nil, fmt.Errorf("starting the plugin bare: %w", err)
	}
	conn := served.(*plugin.GRPCClient).Conn //nolint:forcetypeassert // of the only protocol that is allowed
	_, err = pluginv1.NewBasePluginClient(conn).Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		client.Kill()
		return nil, nil, fmt.Errorf("asking the bare plugin: %w", err)
	}
	return conn, client.Kill, nil
}

// starts measures from the need of a plugin to its being ready, in turn with bare starts.
func (b *pluginBench) starts(ctx context.Context, e effort) ([]pluginTold, error) {
	var ours, floor []time.Duration
	for range e.starts {
		began := time.Now()
		_, kill, err := b.bare(ctx)
		if err != nil {
			return nil, err
		}
		floor = append(floor, time.Since(began))
		kill()
		took, err := b.start(ctx)
		if err != nil {
			return nil, err
		}
		ours = append(ours, took)
	}
	of, least := spreadOf(ours), spreadOf(floor)
	const note = "bare go-plugin with certificates, without digest, shim, Configure"
	return []pluginTold{
		{What: "a plugin is ready, p50", Goal: "<= 30", Unit: "ms", Measured: ms(of.P50), Floor: ms(least.P50), Note: note},
		{What: "  p90", Unit: "ms", Measured: ms(quantile(ours, 0.9)), Floor: ms(quantile(floor, 0.9)), Note: note},
		{What: "  least", Unit: "ms", Measured: ms(ours[0]), Floor: ms(floor[0]), Note: note},
	}, nil
}

// start is how long it takes from a check of the configuration until its plugin is ready.
func (b *pluginBench) start(ctx context.Context) (time.Duration, error) {
	h, err := b.host(ctx, pluginhost.Options{})
	if err != nil {
		return 0, err
	}
	defer h.Close(ctx)
	began := time.Now()
	if err := fine(h.Check(pluginName, "noop", b.instance()).Run(ctx)); err != nil {
		return 0, err
	}
	return h.States()[0].Since.Sub(began), nil
}

func fine(result checks.Result, err error) error {
	if err == nil && result.Status != checks.OK {
		err = fmt.Errorf("a run is %s: %s", result.Status, result.Summary)
	}
	return err
}

// calls measures runs and batches over the whole path of the host, in turn with bare calls of another process.
func (b *pluginBench) calls(ctx context.Context, e effort) ([]pluginTold, error) {
	conn, kill, err := b.bare(ctx)
	if err != nil {
		return nil, err
	}
	defer kill()
	h, err := b.host(ctx, pluginhost.Options{})
	if err != nil {
		return nil, err
	}
	defer h.Close(ctx)
	for id, kind := range map[string]string{"c": "noop", "e": "null"} {
		request := &pluginv1.ConfigureRequest{InstanceId: id, Kind: kind, ConfigJson: []byte("{}"), Exporter: &pluginv1.ExporterContext{}}
		if kind == "noop" {
			request.Exporter = nil
		}
		if _, err := pluginv1.NewBasePluginClient(conn).Configure(ctx, request); err != nil {
			return nil, err
		}
	}
	runs, err := b.runs(ctx, e, h, pluginv1.NewCheckPluginClient(conn))
	if err != nil {
		return nil, err
	}
	batches, err := b.batches(ctx, e, h, pluginv1.NewExporterPluginClient(conn))
	return append(runs, batches...), err
}

func (b *pluginBench) runs(ctx context.Context, e effort, h *pluginhost.Host, client pluginv1.CheckPluginClient) ([]pluginTold, error) {
	check := h.Check(pluginName, "noop", b.instance())
	bounded := func(do func(context.Context) error) func() error {
		return func() error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return do(ctx)
		}
	}
	ours, floor, err := inTurn(e.blocks, e.calls,
		bounded(func(ctx context.Context) error { return fine(check.Run(ctx)) }),
		bounded(func(ctx context.Context) error {
			_, err := client.Run(ctx, &pluginv1.RunRequest{InstanceId: "c"})
			return err
		}))
	const note = "a bare gRPC call over the same certificates"
	return []pluginTold{
		{What: "a run, p50", Goal: "<= 120", Unit: "us", Measured: us(quantile(ours, 0.5)), Floor: us(quantile(floor, 0.5)), Note: note},
		{What: "  p95", Unit: "us", Measured: us(quantile(ours, 0.95)), Floor: us(quantile(floor, 0.95)), Note: note},
	}, err
}

func (b *pluginBench) batches(ctx context.Context, e effort, h *pluginhost.Host, client pluginv1.ExporterPluginClient) ([]pluginTold, error) {
	exporter, err := h.Exporter(pluginName, "null", b.instance())
	if err != nil {
		return nil, err
	}
	records := pluginRecords()
	request := &pluginv1.ExportRequest{InstanceId: "e", Records: pluginwire.RecordsToProto(records)}
	ours, floor, err := inTurn(e.blocks, e.batches,
		func() error {
			_, err := exporter.Export(ctx, records)
			return err
		},
		func() error {
			_, err := client.Export(ctx, request)
			return err
		})
	rate := func(took []time.Duration) float64 {
		var all time.Duration
		for _, one := range took {
			all += one
		}
		return float64(len(took)*batchSize) / max(all.Seconds(), 1e-9)
	}
	const note = "a bare gRPC call with messages that are made already"
	return []pluginTold{{What: fmt.Sprintf("records exported in batches of %d", batchSize), Goal: ">= 100,000", Unit: "/s", Measured: rate(ours), Floor: rate(floor), Note: note}}, errors.Join(err, exporter.(io.Closer).Close()) //nolint:forcetypeassert // it is one
}

// pluginRecords is a batch of ordinary reports.
func pluginRecords() []checks.Record {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	out := make([]checks.Record, batchSize)
	for i := range out {
		out[i] = checks.OfReport(&checks.Report{
			ID: fmt.Sprintf("01J%023d", i), Check: "login", Kind: "bench/noop", Location: "paris", Labels: map[string]string{"team": "a"},
			ScheduledAt: at, StartedAt: at, Took: time.Second, Timeout: 5 * time.Second, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
			Result: checks.Result{
				Status: checks.OK, Summary: "200 in 12ms", Phases: []checks.Phase{{Name: checks.PhaseConnect, Took: 12}, {Name: checks.PhaseTLS, Took: 13}},
				Measurements: []checks.Measurement{{Name: "http.status", Value: 200}, {Name: "http.size", Value: 1234, Unit: "By"}},
			},
		})
	}
	return out
}

// inTurn makes blocks of calls of both, in turn, so that both have the same machine, and returns how long each took, sorted.
// A block before the first warms up.
func inTurn(blocks, calls int, ours, floor func() error) (first, second []time.Duration, err error) {
	for block := range blocks + 1 {
		for i, do := range []func() error{ours, floor} {
			into := []*[]time.Duration{&first, &second}[i]
			for range calls {
				began := time.Now()
				if err := do(); err != nil {
					return nil, nil, err
				}
				if block > 0 {
					*into = append(*into, time.Since(began))
				}
			}
		}
	}
	spreadOf(first)
	spreadOf(second)
	return first, second, nil
}

// held is what this process, and the folder of sockets and control group of its plugins, hold.
type held struct{ goroutines, descriptors, sockets, groups, memory int }

func (b *pluginBench) held(groups *sandbox.Cgroups) held {
	entries := func(dir string) int {
		all, _ := os.ReadDir(dir)
		return len(all)
	}
	runtime.GC()
	runtime.GC()
	out := held{goroutines: runtime.NumGoroutine(), descriptors: entries("/proc/self/fd"), sockets: entries(filepath.Join(b.dir, "s"))}
	now, _ := memoryOf(os.Getpid())
	out.memory = int(now.Resident >> 20)
	if groups != nil {
		out.groups = entries(groups.Root())
	}
	return out
}

// restarts starts the plugin again and again, every second time after a kill, and looks what is left.
func (b *pluginBench) restarts(ctx context.Context, e effort) ([]pluginTold, error) {
	groups, drop := ownCgroups()
	defer drop()
	h, err := b.host(ctx, pluginhost.Options{Cgroups: groups, Times: pluginhost.Times{Backoff: time.Millisecond, MaxBackoff: time.Millisecond, CrashWindow: time.Nanosecond}})
	if err != nil {
		return nil, err
	}
	defer h.Close(ctx)
	check := h.Check(pluginName, "noop", b.instance())
	again := func(n int) error {
		for i := range n {
			if err := restartOnce(ctx, h, check, i%2 == 0); err != nil {
				return err
			}
		}
		return nil
	}
	if err := again(10); err != nil { // what is made once is there
		return nil, err
	}
	before := b.held(groups)
	if err := again(e.restarts); err != nil {
		return nil, err
	}
	after := b.held(groups)
	for range 500 { // what ends by itself has ended
		if after.goroutines <= before.goroutines && after.descriptors <= before.descriptors {
			break
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
		after = b.held(groups)
	}
	bounded := "without control groups: none can be made here"
	if groups != nil {
		bounded = "with control groups"
	}
	row := func(what, unit string, before, after int) pluginTold {
		return pluginTold{What: fmt.Sprintf("%s after %d restarts", what, e.restarts), Goal: "= before", Unit: unit, Measured: float64(after), Floor: float64(before), Note: "before them; " + bounded}
	}
	return []pluginTold{
		row("goroutines", "", before.goroutines, after.goroutines), row("descriptors", "", before.descriptors, after.descriptors),
		row("folders of sockets", "", before.sockets, after.sockets), row("control groups and their files", "", before.groups, after.groups),
		row("memory", "MiB", before.memory, after.memory),
	}, nil
}

// restartOnce ends the plugin and waits until another process of it has answered.
func restartOnce(ctx context.Context, h *pluginhost.Host, check checks.Check, kill bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := fine(check.Run(ctx)); err != nil {
		return err
	}
	before := h.States()[0].PID
	if !kill {
		if err := h.Restart(ctx, pluginName); err != nil {
			return err
		}
	} else if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing the plugin: %w", err)
	}
	for {
		if now := h.States()[0]; now.State == pluginhost.Ready && now.PID != before {
			return nil
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("waiting for the plugin: %w", err)
		}
	}
}

// ownCgroups are control groups below one of this process's own, or nil where none can be made.
func ownCgroups() (*sandbox.Cgroups, func()) {
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
			continue
		}
		dir, err := os.MkdirTemp(root, "windsock-benchmark-")
		if err != nil {
			break
		}
		drop := func() { _ = os.Remove(dir) }
		if groups, err := sandbox.OpenCgroups(dir); err == nil {
			return groups, drop
		}
		drop()
	}
	return nil, func() {}
}
