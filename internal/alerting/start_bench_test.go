package alerting_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/alerting"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/incident"
	"github.com/windsock-monitor/windsock/internal/store"
)

// BenchmarkStart is a start with the built-in rules on a full day of 600 checks, each run once a minute: ten models lists, else
// chats. "silent" are checks that do not say what they measure: a rule that looks back a day then does at all of them, and
// a start reads as much as it may.
func BenchmarkStart(b *testing.B) {
	dir, targets := b.TempDir(), minutely()
	fillDay(b, dir, targets)
	for name, says := range map[string]bool{"says": true, "silent": false} {
		b.Run(name, func(b *testing.B) {
			some := slices.Clone(targets)
			for i := range some {
				if !says {
					some[i].Metrics = nil
				}
			}
			opened, err := store.Open(b.Context(), store.Options{Dir: dir, MaxBytes: 4 << 30})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = opened.Close() }()
			log := slog.New(slog.NewTextHandler(b.Output(), nil))
			from := cpu()
			for b.Loop() {
				engine, err := alerts.New(alerts.Builtin(), some, time.Now())
				if err != nil {
					b.Fatal(err)
				}
				k := alerting.New(alerting.Setup{Engine: engine, Rules: alerts.Builtin()}, alerting.Options{Store: opened, Log: log, Book: incident.New()})
				if err := k.Start(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpu()-from).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
	if size, err := sizeOf(dir); err == nil {
		b.Logf("the store has %d MiB", size>>20)
	}
}

// cpu is the CPU time that the process has used.
func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func minutely() []alerts.Check {
	var targets []alerts.Check
	for i := range 600 {
		c := alerts.Check{
			Name: fmt.Sprintf("chat-%d", i), Kind: "chat", Provider: "mistral", Interval: time.Minute, Paid: true,
			Metrics: []string{"probe.llm.time_to_first_token"},
		}
		if i%60 == 0 {
			c.Name, c.Kind, c.Paid, c.Metrics = fmt.Sprintf("models-%d", i), "models", false, []string{"probe.llm.model.listed", "probe.llm.model.moves"}
		}
		targets = append(targets, c)
	}
	return targets
}

func fillDay(b *testing.B, dir string, targets []alerts.Check) {
	b.Helper()
	opened, err := store.Open(b.Context(), store.Options{Dir: dir, MaxBytes: 4 << 30})
	if err != nil {
		b.Fatal(err)
	}
	end := time.Now()
	for at := end.Add(-24 * time.Hour); at.Before(end); at = at.Add(time.Minute) {
		batch := make([]checks.Record, 0, len(targets))
		for i := range targets {
			batch = append(batch, checks.OfReport(called(&targets[i], at.Add(time.Duration(i)*time.Minute/time.Duration(len(targets))))))
		}
		if err := opened.Append(context.Background(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	if err := opened.Close(); err != nil {
		b.Fatal(err)
	}
}

// called is the report of a call with all that one has.
func called(c *alerts.Check, at time.Time) *checks.Report {
	r := &checks.Report{
		ID: ulid.Make().String(), Check: c.Name, Kind: c.Kind, Provider: c.Provider, Location: "lab", ScheduledAt: at, StartedAt: at,
		Took: 900 * time.Millisecond, Timeout: 30 * time.Second, Trigger: checks.TriggerSchedule, Attempt: 1, Final: true, Slots: 1,
		Result: checks.Pass("answered \"pong\" in 0.9s, first token after 0.4s"),
	}
	for _, name := range []checks.PhaseName{checks.PhaseResolve, checks.PhaseConnect, checks.PhaseTLS, checks.PhaseFirstByte, checks.PhaseTransfer} {
		r.Phases = append(r.Phases, checks.Phase{Name: name, Took: 100 * time.Millisecond})
	}
	model := map[string]string{"model": "mistral-small-latest"}
	for _, name := range c.Metrics {
		r.Measurements = append(r.Measurements, checks.Measurement{Name: name, Value: 0.4, Attrs: model})
	}
	r.Facts = map[string]string{"request_id": ulid.Make().String(), "resolved_model": "mistral-small-2603", "address": "203.0.113.7:443"}
	return r
}

func sizeOf(dir string) (total int64, err error) {
	err = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
