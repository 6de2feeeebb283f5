package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/pluginhost/inspect"
	"github.com/windsock-monitor/windsock/internal/sandbox"
	"github.com/windsock-monitor/windsock/internal/secret"
)

type pluginRunFlags struct {
	params, output string
	secrets        []string
	read, write    []string
	timeout        time.Duration
	verbose        bool
}

func newPluginsRun(p process) *cobra.Command {
	var f pluginRunFlags
	cmd := &cobra.Command{
		Use:   "run PATH KIND",
		Short: "Make one run of a check, or one export, of a plugin and print what came of it",
		Long: `Start a plugin as the agent would, in its sandbox, configure one instance of KIND and make one run
through the real protocol. An exporter gets one record of the agent's own. Needs no configuration.
--config is a file with the parameters, in YAML or JSON, as they stand below with:. A credential in
it is {secret: NAME}; --secret NAME=@FILE or NAME=env:VARIABLE says where it is.
Exit code 0: ok or degraded, or taken; 3: failed, or not taken; 4: it could not tell; 1: it could not be tried.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPlugin(cmd.Context(), p, f, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&f.params, "config", "", "file with the parameters; - is standard input")
	cmd.Flags().StringArrayVar(&f.secrets, "secret", nil, "NAME=@FILE or NAME=env:VARIABLE; may be repeated")
	cmd.Flags().StringArrayVar(&f.read, "read", nil, "file or folder that the plugin may read; may be repeated")
	cmd.Flags().StringArrayVar(&f.write, "write", nil, "file or folder that it may read and write; may be repeated")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 30*time.Second, "bound on the run")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show the plugin's log on standard error")
	outputFlag(cmd, &f.output)
	return cmd
}

func runPlugin(ctx context.Context, p process, f pluginRunFlags, path, kind string) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	scrubber := secret.NewScrubber()
	trial, err := trialOf(p, f, kind, scrubber)
	if err != nil {
		return err
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return exit(exitCannot, err)
	}
	o := inspect.Options{Path: full, Trust: true, Scrub: scrubber.String, Policy: sandbox.Policy{Read: f.read, Write: f.write}}
	if f.verbose {
		o.Log = slog.New(slog.NewTextHandler(scrubber.Writer(p.stderr), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	plugin, err := inspect.Start(ctx, o)
	if err != nil {
		return exit(exitCannot, err)
	}
	got, err := plugin.Try(ctx, trial)
	if err := errors.Join(err, plugin.Close()); err != nil {
		if _, wrong := errors.AsType[*inspect.ParamsError](err); wrong {
			return exit(exitUsage, err)
		}
		return exit(exitCannot, err)
	}
	out := scrubber.Writer(p.stdout)
	defer func() { _ = out.Flush() }()
	if got.Report == nil {
		return toldExport(out, got, asJSON)
	}
	if asJSON {
		err = printJSON(out, checks.OfReport(got.Report))
	} else {
		printReport(out, got.Report)
	}
	if code := worse(exitWell, got.Report.Status); err == nil && code != exitWell {
		err = exit(code, nil)
	}
	return err
}

func toldExport(out io.Writer, got inspect.Tried, asJSON bool) error {
	if asJSON {
		if err := printJSON(out, got); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(out, got.Export)
	}
	if !got.Taken {
		return exit(exitBadNews, nil)
	}
	return nil
}

// trialOf reads the parameters and the secrets.
func trialOf(p process, f pluginRunFlags, kind string, scrubber *secret.Scrubber) (inspect.Trial, error) {
	trial := inspect.Trial{Kind: kind, Timeout: f.timeout, Secrets: map[string]string{}, Version: version}
	switch f.params {
	case "":
	case "-":
		text, err := io.ReadAll(io.LimitReader(p.stdin, 1<<20))
		if err != nil {
			return trial, exit(exitCannot, fmt.Errorf("reading the parameters: %w", err))
		}
		trial.Params = text
	default:
		text, err := os.ReadFile(f.params)
		if err != nil {
			return trial, exit(exitUsage, fmt.Errorf("reading the parameters: %w", err))
		}
		trial.Params = text
	}
	for _, given := range f.secrets {
		name, source, ok := strings.Cut(given, "=")
		value, err := valueOf(p, source)
		if !ok || name == "" || err != nil {
			return trial, exit(exitUsage, errors.Join(errors.New("--secret wants NAME=@FILE or NAME=env:VARIABLE, never the value itself"), err))
		}
		scrubber.Add(value)
		trial.Secrets[name] = value
	}
	return trial, nil
}

// valueOf reads a secret for a trial.
func valueOf(p process, source string) (string, error) {
	if path, is := strings.CutPrefix(source, "@"); is {
		text, err := os.ReadFile(path) //nolint:gosec // whoever asks names the file
		return strings.TrimSuffix(string(text), "\n"), err
	}
	if name, is := strings.CutPrefix(source, "env:"); is && p.getenv(name) != "" {
		return p.getenv(name), nil
	}
	return "", errors.New("there is no such source")
}
