package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/drill"
)

type drillFlags struct {
	config, output, dir string
	files               []string
	all, list, strict   bool
	verbose             bool
	speed               float64
	parallel            int
	place               inPlace
}

func newDrill(p process) *cobra.Command {
	var f drillFlags
	cmd := &cobra.Command{
		Use:   "drill SCENARIO… | --all | --list",
		Short: "Prove that alerts fire, reach people, and resolve",
		Long: `Run your own configuration (checks, rules, routes) against a simulated world in which one thing goes
wrong, with its time compressed, and say whether the right alert fired with the right severity and
blame, was told by each exporter, and ended. Nothing leaves this machine: every connection ends in
this process. No secret of the configuration is read, and nothing is written but below a temporary
folder. --list names the scenarios; files of your own are added with --scenario and --scenarios.
With --in-place it is the running agent that is drilled, in natural time and with its real routes:
its checks are shown the fault between them and the network, real traffic is not touched, and what
is told of it begins with DRILL.
Exit code 0: all would have paged; 3: one would not; 4: nobody can tell, as on a machine that is too
slow; 2: there is no such scenario; 1: it could not be done, or was stopped. What the configuration
has no check for is NOT COVERED: bad news where it was asked for by name or with --strict, else it
is only told.`,
		RunE: func(cmd *cobra.Command, names []string) error { return runDrill(cmd.Context(), p, f, names) },
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration (default ./schedules.yaml, then /etc/windsock/schedules.yaml)")
	cmd.Flags().BoolVar(&f.all, "all", false, "play every scenario")
	cmd.Flags().BoolVar(&f.list, "list", false, "list the scenarios")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "what the configuration has no check for is bad news")
	cmd.Flags().StringArrayVar(&f.files, "scenario", nil, "a scenario file of your own; may be given several times")
	cmd.Flags().StringVar(&f.dir, "scenarios", "", "a folder of scenario files of your own")
	cmd.Flags().Float64Var(&f.speed, "speed", drill.DefaultSpeed, "how many times faster than a clock the agent's times run, 1 to 120; a busy machine wants less")
	cmd.Flags().IntVar(&f.parallel, "parallel", drill.DefaultParallel, "scenarios at the same time, 1 to 32")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "the agents' logs on standard error")
	f.place.flags(cmd)
	outputFlag(cmd, &f.output)
	cmd.ValidArgsFunction = func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		return f.left(given), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// left are the names of scenarios that were not given yet.
func (f *drillFlags) left(given []string) []string {
	all, _, err := f.scenarios(nil)
	if err != nil {
		return nil
	}
	var left []string
	for i := range all {
		if !slices.Contains(given, all[i].Name) {
			left = append(left, all[i].Name)
		}
	}
	return left
}

// scenarios are all that there are, and those that are to be played.
func (f *drillFlags) scenarios(names []string) (all, chosen []drill.Scenario, err error) {
	base, err := drill.Builtin()
	if err != nil {
		return nil, nil, exit(exitCannot, err)
	}
	var team []drill.Scenario
	if f.dir != "" {
		if team, err = drill.LoadDir(f.dir); err != nil {
			return nil, nil, exit(exitUsage, err)
		}
	}
	var errs []error
	for _, path := range f.files {
		sc, err := drill.Load(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		team = append(team, *sc)
		if len(names) == 0 && !f.all {
			chosen = append(chosen, *sc)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, exit(exitUsage, err)
	}
	if all, err = drill.Merge(base, team); err != nil {
		return nil, nil, exit(exitUsage, err)
	}
	switch {
	case f.all:
		return all, all, nil
	case len(names) > 0:
		chosen, err = drill.Choose(all, names)
		if err != nil {
			return nil, nil, exit(exitUsage, err)
		}
	}
	return all, chosen, nil
}

func (f *drillFlags) check(names []string) error {
	switch {
	case f.all && len(names) > 0:
		return errors.New("scenarios are named, and --all is given: want one of both")
	case !(f.speed >= 1 && f.speed <= 120): // false for NaN too
		return fmt.Errorf("--speed is %v, want 1 to 120", f.speed)
	case f.parallel < 1 || f.parallel > 32:
		return fmt.Errorf("--parallel is %d, want 1 to 32", f.parallel)
	case !f.place.wanted && f.place.given():
		return errors.New("--provider, --for, --every and --force are of --in-place")
	}
	return nil
}

func runDrill(ctx context.Context, p process, f drillFlags, names []string) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	if err := f.check(names); err != nil {
		return exit(exitUsage, err)
	}
	all, chosen, err := f.scenarios(names)
	switch {
	case err != nil:
		return err
	case f.list:
		return listScenarios(p.stdout, asJSON, all)
	case len(chosen) == 0:
		return exit(exitUsage, errors.New("nothing to play: name a scenario, or want --all; `windsock drill --list` names them"))
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // a terminal that goes away
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // that our reader has gone is seen where it is written to
	show := drillView{out: untilGone{p.stdout, stop}}
	if !asJSON {
		_, _, show.colour = terminal(p, p.stdout)
	}
	played := f.beside
	if f.place.wanted {
		played = f.inside
	}
	report, err := played(ctx, p, chosen, func(o drill.Outcome) {
		if !asJSON {
			show.outcome(o)
		}
	})
	if asJSON && report != nil { // also of what was shown before it was interrupted
		if failed := json.NewEncoder(show.out).Encode(report); failed != nil && err == nil {
			err = exit(exitCannot, fmt.Errorf("writing the report: %w", failed))
		}
	}
	switch {
	case err != nil:
		return err
	case !asJSON:
		show.summary(report)
	}
	return verdictOfDrill(report, f.strict || !f.all)
}

// beside drills agents of its own, beside the one that runs. The error has its exit code.
func (f *drillFlags) beside(ctx context.Context, p process, chosen []drill.Scenario, each func(drill.Outcome)) (*drill.Report, error) {
	cfg, err := unsealed(f.config)
	if err != nil {
		return nil, exit(exitUsage, err)
	}
	o := drill.Options{
		Config: cfg, Registry: registry(), Scenarios: chosen, Version: version, Log: slog.New(slog.DiscardHandler), Speed: f.speed, Parallel: f.parallel,
		Done: each,
	}
	if f.verbose {
		o.Log = slog.New(slog.NewTextHandler(p.scrubber.Writer(p.stderr), nil))
	}
	report, err := drill.Run(ctx, o)
	switch {
	case ctx.Err() != nil:
		return nil, exit(exitCannot, errors.New("stopped before the drill was over; nothing of it is left"))
	case err != nil:
		return nil, exit(exitCannot, err)
	}
	return report, nil
}

// inside drills the agent that runs. The error has its exit code.
func (f *drillFlags) inside(ctx context.Context, p process, chosen []drill.Scenario, each func(drill.Outcome)) (*drill.Report, error) {
	place := f.place
	place.config, place.all, place.each = f.config, f.all, each
	return place.run(ctx, p, chosen)
}

// unsealed reads the configuration for a drill: without the environment, because no secret and no proxy of it is used.
func unsealed(path string) (*config.Config, error) {
	return config.Load(config.Options{Path: path, Registry: registry()}) //nolint:wrapcheck // it is placed
}

// verdictOfDrill is the exit code. What is not covered is bad news where somebody asked for it.
func verdictOfDrill(r *drill.Report, strict bool) error {
	switch {
	case r.Failed > 0, strict && r.NotCovered > 0:
		return exit(exitBadNews, nil)
	case r.Undecided > 0:
		return exit(exitUndecided, nil)
	}
	return nil
}

func listScenarios(w io.Writer, asJSON bool, all []drill.Scenario) error {
	for i := range all {
		sc := &all[i]
		if asJSON {
			line := struct {
				Name string `json:"name"`
				What string `json:"what"`
				File string `json:"file,omitempty"`
			}{sc.Name, sc.What, sc.File}
			if err := json.NewEncoder(w).Encode(line); err != nil {
				return exit(exitCannot, fmt.Errorf("writing the list: %w", err))
			}
			continue
		}
		own := ""
		if sc.File != "" {
			own = "  (" + sc.File + ")"
		}
		fmt.Fprintf(w, "%-17s %s%s\n", sc.Name, sc.What, own)
	}
	return nil
}
