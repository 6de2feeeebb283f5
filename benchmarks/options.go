package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// options is what the command line says.
type options struct {
	scenario string
	checks   int
	every    time.Duration
	long     time.Duration
	warm     time.Duration
	kind     string
	delay    time.Duration
	tls      bool
	floor    bool
	export   string
	binary   string
	profile  string
	repeat   int
	output   string
}

func parse(args []string, stderr io.Writer) (*options, *flag.FlagSet, error) {
	o := &options{}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.scenario, "scenario", "", "a preset: "+strings.Join(slices.Sorted(maps.Keys(scenarios())), ", ")+"; flags that are given change it")
	flags.IntVar(&o.checks, "checks", 1000, "number of checks")
	flags.DurationVar(&o.every, "every", time.Second, "interval of each check")
	flags.DurationVar(&o.long, "for", 30*time.Second, "how long is measured; rounded up to whole intervals")
	flags.DurationVar(&o.warm, "warm", 10*time.Second, "how long the agent runs before")
	flags.StringVar(&o.kind, "kind", "chat", "what is checked: chat (an answer in one piece), stream (a streamed one), models")
	flags.DurationVar(&o.delay, "delay", 0, "how long the target thinks before it answers")
	flags.BoolVar(&o.tls, "tls", false, "the target speaks https, as a provider does: each run makes a handshake")
	flags.BoolVar(&o.floor, "floor", true, "measure the same requests made by net/http alone, before and after the agent")
	flags.StringVar(&o.export, "exporters", "otel", "where results go, with commas: otel, prometheus, stdout; none is none")
	flags.StringVar(&o.binary, "binary", "", "the agent; the default is to build it")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of the agent to this file; the agent is built for it")
	flags.IntVar(&o.repeat, "repeat", 1, "measure so often, and show the medians")
	flags.StringVar(&o.output, "output", "text", "text or json")
	err := flags.Parse(args)
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected %q", flags.Arg(0))
	case o.scenario != "" && scenarios()[o.scenario] == nil:
		err = fmt.Errorf("no scenario %q", o.scenario)
	case o.output != "text" && o.output != "json":
		err = fmt.Errorf("-output is %q, want text or json", o.output)
	case !slices.Contains([]string{"chat", "stream", "models"}, o.kind):
		err = fmt.Errorf("-kind is %q, want chat, stream or models", o.kind)
	case o.checks < 1 || o.every < time.Second || o.repeat < 1:
		err = errors.New("want at least one check, an interval of a second and one repetition")
	}
	return o, flags, err
}

func (o *options) setting() setting {
	s := setting{
		plan: plan{Checks: o.checks, Every: o.every, Kind: o.kind},
		For:  o.long + (o.every-o.long%o.every)%o.every, Warm: o.warm, Delay: o.delay, TLS: o.tls, Floor: o.floor, Profile: o.profile,
	}
	for kind := range strings.SplitSeq(o.export, ",") {
		if kind != "none" && kind != "" {
			s.Exporters = append(s.Exporters, kind)
		}
	}
	return s
}

// scenarios are the presets: the flags that they stand for. docs/performance.md says which number comes from which.
func scenarios() map[string]map[string]string {
	return map[string]map[string]string{
		"throughput": {"checks": "1000", "every": "1s", "for": "30s"},
		"many":       {"checks": "5000", "every": "10s", "for": "30s", "warm": "20s"},
		"slow":       {"checks": "20", "every": "5s", "delay": "1500ms", "for": "60s", "floor": "false"},
		"idle":       {"checks": "4", "every": "1m", "for": "5m", "warm": "70s", "floor": "false"},
		"backlog":    {"checks": "60", "every": "1s", "for": "30s", "warm": "0s", "floor": "false"},
		"plugins":    {"for": "40s", "warm": "10s"},
		"sizing":     {"for": "60s", "warm": "65s", "floor": "false", "exporters": "otel,prometheus"},
		"flat":       {"for": "60s", "warm": "30s", "floor": "false"},
	}
}

// apply sets the flags of the scenario that the command line did not set.
func (o *options) apply(flags *flag.FlagSet) error {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range scenarios()[o.scenario] {
		if given[name] {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return fmt.Errorf("scenario %s: %w", o.scenario, err)
		}
	}
	return nil
}

// bench is the load program.
func bench(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, flags, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err == nil {
		err = o.apply(flags)
	}
	if err != nil {
		return err
	}
	if o.binary == "" {
		dir, err := os.MkdirTemp("", "windsock-benchmark-")
		if err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		fmt.Fprintln(stderr, "building the agent")
		if o.binary, err = build(ctx, dir, o.profile != ""); err != nil {
			return err
		}
	}
	rep := report{Scenario: o.scenario, Host: describeHost()}
	if info, err := os.Stat(o.binary); err == nil {
		rep.BinaryBytes = info.Size()
	}
	for n := range o.repeat {
		if o.repeat > 1 {
			fmt.Fprintf(stderr, "round %d of %d\n", n+1, o.repeat)
		}
		if err := o.round(ctx, &rep, stderr); err != nil {
			return err
		}
	}
	return rep.write(stdout, o.output)
}

// round makes the measurements of the scenario once.
func (o *options) round(ctx context.Context, rep *report, stderr io.Writer) error {
	s := o.setting()
	settings := []setting{s}
	switch o.scenario {
	case "slow":
		settings[0].Shipped = true
	case "idle":
		settings[0].Shipped = true
	case "flat":
		settings = flat(s)
	case "sizing":
		settings = sizes(s)
	case "backlog":
		return o.backlog(ctx, rep, s)
	case "plugins":
		return o.pluginRound(ctx, rep, s, stderr)
	}
	for _, s := range settings {
		fmt.Fprintf(stderr, "%d checks every %s\n", s.Checks, s.Every)
		m, err := measure(ctx, o.binary, s, stderr)
		if err != nil {
			return err
		}
		rep.add(s, m)
	}
	return nil
}

// sizes are agents of a team, of a department and of a company; a row of docs/operations/sizing.md each.
func sizes(s setting) []setting {
	s.Shipped = true
	var all []setting
	for _, p := range []plan{
		{Checks: 10, Every: time.Minute},
		{Checks: 50, Every: time.Minute},
		{Checks: 200, Every: time.Minute},
		{Checks: 200, Every: 10 * time.Second},
		{Checks: 1000, Every: time.Minute},
		{Checks: 1000, Every: 10 * time.Second},
		{Checks: 5000, Every: 10 * time.Second},
	} {
		one := s
		one.Checks, one.Every = p.Checks, p.Every
		all = append(all, one)
	}
	return all
}

// flat are the same runs a second, made by ever more checks. The window is the same for all, so that it cannot be a whole
// interval of most.
func flat(s setting) []setting {
	var all []setting
	for _, n := range []int{10, 100, 1000, 10_000} {
		one := s
		one.Checks, one.Every = n, time.Duration(n/10)*time.Second
		all = append(all, one)
	}
	return all
}
