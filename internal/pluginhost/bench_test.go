package pluginhost_test

import (
	"context"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost"
	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// From the decision to start it again to the first answer: the end of the old process, digest, shim, certificates, manifest,
// one instance.
func BenchmarkReady(b *testing.B) {
	h := host(b, pluginhost.Times{}, entry(b, ""))
	c := h.Check("bad", "probe", with("a", ""))
	runs(b, c, 10*time.Second)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if err := h.Restart(b.Context(), "bad"); err != nil {
			b.Fatal(err)
		}
		runs(b, c, 10*time.Second)
		took = append(took, time.Since(began))
	}
	percentiles(b, took)
}

func percentiles(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	for name, at := range map[string]float64{"p50": 0.5, "p95": 0.95, "p99": 0.99} {
		b.ReportMetric(float64(took[int(at*float64(len(took)-1))].Nanoseconds()), name+"-ns")
	}
}

// The floor of BenchmarkRun: the same call without the host.
func BenchmarkFloor(b *testing.B) {
	p := entry(b, "")
	dir := b.TempDir()
	process, err := launch.Start(b.Context(), launch.Program{Name: "bad", Path: p.Path, Sockets: dir, MTLS: true})
	if err != nil {
		b.Fatal(err)
	}
	defer process.Kill()
	configured := &pluginv1.ConfigureRequest{InstanceId: "a", Kind: "probe", ConfigJson: []byte("{}")}
	if _, err := pluginv1.NewBasePluginClient(process.Conn()).Configure(b.Context(), configured); err != nil {
		b.Fatal(err)
	}
	client := pluginv1.NewCheckPluginClient(process.Conn())
	took := make([]time.Duration, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		began := time.Now()
		if _, err := client.Run(ctx, &pluginv1.RunRequest{InstanceId: "a"}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		cancel()
	}
	percentiles(b, took)
}

// A run over the host's whole path.
func BenchmarkRun(b *testing.B) {
	h := host(b, pluginhost.Times{}, entry(b, ""))
	c := h.Check("bad", "probe", secretly(with("a", ""), &value{text: canary}))
	runs(b, c, 10*time.Second)
	took := make([]time.Duration, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		began := time.Now()
		if _, err := c.Run(ctx); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		cancel()
	}
	percentiles(b, took)
}

func BenchmarkExport(b *testing.B) {
	for _, n := range []int{1, 100, 500} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			h := host(b, pluginhost.Times{}, entry(b, ""))
			e := exporter(b, h, "sink", with("a", ""))
			records := batch(n)
			if _, err := export(b, e, records); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := export(b, e, records); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// What 50 plugins that do nothing cost the agent, of one core: measured once, however many iterations are asked for.
func BenchmarkIdle(b *testing.B) {
	const plugins, window = 50, 20 * time.Second // two questions for the health of each
	all := make([]pluginhost.Plugin, plugins)
	for i := range all {
		all[i] = entry(b, "")
		all[i].Name = "bad" + strconv.Itoa(i)
	}
	h := hostOf(b, pluginhost.Options{Dev: true}, all...)
	for i := range all {
		runs(b, h.Check(all[i].Name, "probe", with("a", "")), time.Minute)
	}
	for first := true; b.Loop(); first = false {
		if !first {
			continue
		}
		before, began := cpu(b), time.Now()
		time.Sleep(window)
		b.ReportMetric(100*(cpu(b)-before).Seconds()/time.Since(began).Seconds(), "%core")
	}
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
