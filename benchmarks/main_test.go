package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
)

// TestMain lets the test binary be each of the processes that the load program starts, the agent too: building the real
// one takes longer than all the rest.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(roleVariable) != "":
		os.Exit(start(nil))
	case len(os.Args) == 4 && os.Args[1] == "run":
		if err := runAgent(os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

func runAgent(path string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	registry := config.Registry{Checks: checkkinds.Kinds(), Exporters: exporterkinds.Kinds()}
	cfg, err := config.Load(config.Options{Path: path, Registry: registry, Getenv: os.Getenv})
	if err != nil {
		return err
	}
	running, err := agent.New(ctx, agent.Options{
		Config: cfg, Registry: registry, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Getenv: os.Getenv, Stdout: os.Stdout,
	})
	if err != nil {
		return err
	}
	return running.Run(ctx, nil)
}

func TestTheLoadProgramMeasuresEveryPart(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	args := []string{"-binary", self, "-checks", "5", "-every", "1s", "-for", "2s", "-warm", "1s", "-output", "json"}
	if err := bench(t.Context(), args, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	var told report
	if err := json.Unmarshal(out.Bytes(), &told); err != nil || len(told.Rows) != 1 {
		t.Fatalf("%v: %s", err, &out)
	}
	r := told.Rows[0]
	for what, got := range map[string]float64{
		"the agent's CPU per run": r.CPU, "the floor's": r.Floor, "their ratio": r.Ratio, "the control before": r.Control[0],
		"the control beside": r.Control[1], "resident memory": r.Resident, "anonymous memory": r.Anonymous, "slots due": float64(r.Due),
	} {
		if got <= 0 {
			t.Errorf("%s is %g: %s", what, got, &out)
		}
	}
	if r.Due != 10 || r.Rejected != 0 || r.Expired != 0 {
		t.Errorf("%d slots due, %d rejected, %d expired; want 10, none and none", r.Due, r.Rejected, r.Expired)
	}
}

func TestWordsThatTheLoadProgramDoesNotKnow(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-scenario rain":     "no scenario",
		"-kind weather":      "want chat, stream or models",
		"-output yaml":       "want text or json",
		"-every 10ms":        "an interval of a second",
		"-checks 3 and more": "unexpected",
	} {
		err := bench(t.Context(), strings.Fields(args), &bytes.Buffer{}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

func TestEveryScenarioIsOneThatCanBeSaid(t *testing.T) {
	t.Parallel()
	for name := range scenarios() {
		o, flags, err := parse([]string{"-scenario", name, "-checks", "7"}, &bytes.Buffer{})
		if err == nil {
			err = o.apply(flags)
		}
		if err != nil || o.checks != 7 {
			t.Errorf("%s: %v, %d checks; want the 7 that were given", name, err, o.checks)
		}
	}
}

func TestPluginsAreMeasuredBesideTheirFloor(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "wb") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b, err := openPluginBench(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	e := effort{starts: 2, blocks: 1, calls: 3, batches: 2, restarts: 4}
	var rep report
	for _, part := range []func(context.Context, effort) ([]pluginTold, error){b.starts, b.calls, b.restarts} {
		told, err := part(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		rep.Plugins = append(rep.Plugins, told...)
	}
	for _, one := range rep.Plugins {
		if one.Measured <= 0 && !strings.HasPrefix(one.What, "control groups") {
			t.Errorf("%s is %g", one.What, one.Measured)
		}
	}
	var out bytes.Buffer
	if err := rep.write(&out, "text"); err != nil || !strings.Contains(out.String(), "goroutines after 4 restarts") {
		t.Errorf("%v: %s", err, &out)
	}
}
