package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report is everything that was measured.
type report struct {
	Scenario    string        `json:"scenario,omitempty"`
	Host        host          `json:"host"`
	BinaryBytes int64         `json:"binary_bytes"`
	Backlog     []backlogTold `json:"backlog,omitempty"`
	Plugins     []pluginTold  `json:"plugins,omitempty"`
	Rows        []row         `json:"rows"`
}

// host is the machine class.
type host struct {
	Go     string    `json:"go"`
	CPUs   int       `json:"cpus"`
	CPU    string    `json:"cpu"`
	Kernel string    `json:"kernel"`
	At     time.Time `json:"at"`
}

func describeHost() host {
	h := host{Go: runtime.Version(), CPUs: runtime.NumCPU(), At: time.Now().UTC().Truncate(time.Second)}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				h.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Kernel = string(bytes.TrimSpace(text))
	}
	return h
}

// row is one measurement as a reader wants it. Times of CPU are in microseconds, memory in MiB, lateness in milliseconds.
type row struct {
	Checks       int              `json:"checks"`
	Every        float64          `json:"every_s"`
	Kind         string           `json:"kind"`
	TLS          bool             `json:"tls"`
	Runs         int64            `json:"runs"`
	PerSecond    float64          `json:"runs_per_s"`
	CPU          float64          `json:"cpu_us_per_run"`
	User         float64          `json:"user_us_per_run"`
	System       float64          `json:"system_us_per_run"`
	Core         float64          `json:"percent_of_a_core"`
	Floor        float64          `json:"floor_cpu_us_per_run,omitempty"`
	FloorBefore  float64          `json:"floor_before_us,omitempty"`
	FloorAfter   float64          `json:"floor_after_us,omitempty"`
	Ratio        float64          `json:"ratio,omitempty"`
	Control      [3]float64       `json:"control_us"` // floor before, agent, floor after
	Resident     float64          `json:"resident_mib"`
	Anonymous    float64          `json:"anonymous_mib"`
	Peak         float64          `json:"peak_resident_mib"`
	LateP50      float64          `json:"late_p50_ms"`
	LateP99      float64          `json:"late_p99_ms"`
	LateMax      float64          `json:"late_max_ms"`
	SchedulerP99 float64          `json:"scheduler_late_p99_ms"`
	FloorLateP99 float64          `json:"floor_late_p99_ms,omitempty"`
	Due          int64            `json:"slots_due"`
	Ran          int64            `json:"slots_run"`
	Skipped      map[string]int64 `json:"slots_not_run"`
	Late         int64            `json:"checks_not_run_within_a_period"`
	LastFirst    float64          `json:"last_first_run_s"`
	Stored       float64          `json:"stored_per_s"`
	Exported     float64          `json:"exported_per_s"`
	Rejected     int64            `json:"rejected"`
	Expired      int64            `json:"expired"`
	Start        float64          `json:"start_s"`
	Kept         float64          `json:"store_bytes_per_record"`
	Sent         float64          `json:"sent_bytes_per_record,omitempty"`
	Written      float64          `json:"disk_written_mib_per_day"`
}

func us(d time.Duration) float64 { return round(float64(d)/1e3, 10) }
func ms(d time.Duration) float64 { return round(float64(d)/1e6, 1000) }
func mib(n int64) float64        { return round(float64(n)/(1<<20), 10) }

func round(v, to float64) float64 { return float64(int64(v*to+0.5)) / to }

func (rep *report) add(s setting, m measured) {
	runs := max(m.Agent.Runs, 1)
	r := row{
		Checks: s.Checks, Every: s.Every.Seconds(), Kind: s.Kind, TLS: s.TLS, Runs: m.Agent.Runs,
		PerSecond: round(float64(m.Agent.Runs)/m.Agent.Window, 10), CPU: us(m.Agent.perRun()),
		User: us(m.Agent.User / time.Duration(runs)), System: us(m.Agent.System / time.Duration(runs)), Core: round(m.Agent.core(), 1e5),
		Floor: us(m.floorPerRun()), FloorBefore: us(m.FloorBefore.perRun()), FloorAfter: us(m.FloorAfter.perRun()), Ratio: round(m.ratio(), 1000),
		Control:  [3]float64{us(m.FloorBefore.Control.P50), us(m.Agent.Control.P50), us(m.FloorAfter.Control.P50)},
		Resident: mib(m.Agent.Memory.Resident), Anonymous: mib(m.Agent.Memory.Anonymous), Peak: mib(m.Agent.Memory.Peak),
		LateP50: ms(m.Told.Late.P50), LateP99: ms(m.Told.Late.P99), LateMax: ms(m.Told.Late.Max), SchedulerP99: ms(m.Told.Scheduler), FloorLateP99: ms(m.FloorLate.P99),
		Due: m.Told.Due, Ran: m.Told.Ran, Skipped: m.Told.Skipped, Late: m.Told.Unfinished, LastFirst: round(m.Told.LastFirst.Seconds(), 100),
		Stored: round(float64(m.Told.Stored)/m.Agent.Window, 10), Exported: round(float64(m.Received.Results)/m.Agent.Window, 10),
		Rejected: m.Told.Rejected, Expired: m.Told.Expired, Start: round(m.Start.Seconds(), 100),
		Kept: round(m.Told.Kept, 1), Written: mib(int64(float64(m.Agent.Written) / m.Agent.Window * 86400)),
	}
	if m.Received.Results > 0 {
		r.Sent = round(float64(m.Received.Bytes)/float64(m.Received.Results), 1)
	}
	rep.Rows = append(rep.Rows, r)
}

func (rep *report) write(out io.Writer, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(rep)
	}
	fmt.Fprintf(out, "%s, %d CPUs (%s), Linux %s, %s; the agent's binary has %.1f MB\n",
		rep.Host.Go, rep.Host.CPUs, rep.Host.CPU, rep.Host.Kernel, rep.Host.At.Format(time.RFC3339), float64(rep.BinaryBytes)/1e6)
	for i := range rep.Backlog {
		rep.Backlog[i].write(out)
	}
	if len(rep.Rows) == 0 {
		return rep.writePlugins(out)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range lines() {
		cells := []string{line.name}
		measured := false
		for i := range rep.Rows {
			cell := line.cell(&rep.Rows[i])
			cells, measured = append(cells, cell), measured || cell != ""
		}
		if measured {
			fmt.Fprintln(table, strings.Join(cells, "\t"))
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	rep.writeMedians(out)
	return nil
}

// line is one line of the table; an empty cell is a number that was not measured.
type line struct {
	name string
	cell func(r *row) string
}

func lines() []line {
	return []line{
		{"checks", func(r *row) string { return fmt.Sprintf("%d %s @ %gs", r.Checks, r.what(), r.Every) }},
		{"runs", func(r *row) string { return fmt.Sprintf("%d (%.1f/s)", r.Runs, r.PerSecond) }},
		{"agent, CPU per run", func(r *row) string { return fmt.Sprintf("%.1f us", r.CPU) }},
		{"  user + system", func(r *row) string { return fmt.Sprintf("%.0f + %.0f us", r.User, r.System) }},
		{"  of a core", func(r *row) string { return fmt.Sprintf("%.4g %%", r.Core) }},
		{"floor, CPU per run", func(r *row) string { return when(r.Floor > 0, "%.1f us", r.Floor) }},
		{"  before, after", func(r *row) string { return when(r.Floor > 0, "%.1f, %.1f us", r.FloorBefore, r.FloorAfter) }},
		{"agent / floor", func(r *row) string { return when(r.Ratio > 0, "%.3f", r.Ratio) }},
		{"control, CPU per unit", func(r *row) string {
			if r.Floor == 0 {
				return fmt.Sprintf("%.0f us", r.Control[1])
			}
			return fmt.Sprintf("%.0f, %.0f, %.0f us", r.Control[0], r.Control[1], r.Control[2])
		}},
		{"resident, anonymous", func(r *row) string { return fmt.Sprintf("%.1f, %.1f MiB", r.Resident, r.Anonymous) }},
		{"  peak resident", func(r *row) string { return fmt.Sprintf("%.1f MiB", r.Peak) }},
		{"lateness p50, p99, max", func(r *row) string { return fmt.Sprintf("%.2f, %.2f, %.2f ms", r.LateP50, r.LateP99, r.LateMax) }},
		{"  scheduler's own p99", func(r *row) string { return fmt.Sprintf("%.2f ms", r.SchedulerP99) }},
		{"  floor p99", func(r *row) string { return when(r.Floor > 0, "%.2f ms", r.FloorLateP99) }},
		{"slots due, run", func(r *row) string { return when(r.Due > 0, "%d, %d", r.Due, r.Ran) }},
		{"slots not run", func(r *row) string { return strings.TrimPrefix(fmt.Sprint(r.Skipped), "map") }},
		{"not run in a period", func(r *row) string { return when(r.Due > 0, "%d (last after %.1f s)", r.Late, r.LastFirst) }},
		{"stored, exported", func(r *row) string { return fmt.Sprintf("%.1f, %.1f /s", r.Stored, r.Exported) }},
		{"rejected, expired", func(r *row) string { return fmt.Sprintf("%d, %d", r.Rejected, r.Expired) }},
		{"a record in the store", func(r *row) string { return fmt.Sprintf("%.0f B", r.Kept) }},
		{"  to the backend", func(r *row) string { return when(r.Sent > 0, "%.0f B", r.Sent) }},
		{"written to disk, by day", func(r *row) string { return fmt.Sprintf("%.0f MiB", r.Written) }},
		{"time to start", func(r *row) string { return fmt.Sprintf("%.2f s", r.Start) }},
	}
}

func (r *row) what() string {
	if r.TLS {
		return r.Kind + "/tls"
	}
	return r.Kind
}

func when(there bool, format string, args ...any) string {
	if !there {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// writeMedians says the middle of repetitions.
func (rep *report) writeMedians(out io.Writer) {
	if len(rep.Rows) < 3 || rep.Scenario == "flat" || rep.Scenario == "sizing" {
		return
	}
	pick := func(of func(r *row) float64) float64 {
		var all []float64
		for i := range rep.Rows {
			all = append(all, of(&rep.Rows[i]))
		}
		return median(all)
	}
	fmt.Fprintf(out, "medians: agent %.1f us, floor %.1f us, ratio %.3f, resident %.1f MiB, anonymous %.1f MiB, lateness p99 %.2f ms\n",
		pick(func(r *row) float64 { return r.CPU }), pick(func(r *row) float64 { return r.Floor }),
		pick(func(r *row) float64 { return r.Ratio }), pick(func(r *row) float64 { return r.Resident }),
		pick(func(r *row) float64 { return r.Anonymous }), pick(func(r *row) float64 { return r.LateP99 }))
}
