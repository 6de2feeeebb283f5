package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/params"
	"github.com/windsock-monitor/windsock/internal/store"
)

type storeExportFlags struct {
	storeFlags
	since, until            string
	checks, statuses, types []string
	format, output          string
	force                   bool
}

func newStoreExport(p process) *cobra.Command {
	var f storeExportFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the records of the store, as NDJSON or CSV, also while the agent runs",
		Long: `Print the records that the store has now, in the order in which they came: one JSON object a line, as
docs/record.schema.json says, or a table whose columns docs/store.md names. It works beside a running
agent and changes nothing. What the agent took in the last moments may still be in its memory only.
Exit code 0: all that was asked for; 3: without records that are damaged; 2: wrong flags, or there is
such a file and --force was not given; 1: it could not be read or written.`,
		Example: "  windsock store export --since 24h --status failed --status degraded\n  windsock store export --since 2026-11-01 --format csv --output november.csv",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return exportStore(cmd.Context(), p, f) },
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "from this moment: how long ago (24h, 7d), a date, or RFC 3339")
	flags.StringVar(&f.until, "until", "", "up to and without this moment")
	flags.StringSliceVar(&f.checks, "check", nil, "reports of these checks only")
	flags.StringSliceVar(&f.statuses, "status", nil, "reports with these statuses only: "+strings.Join(statuses(), ", "))
	flags.StringSliceVar(&f.types, "type", nil, "records of these types only: "+strings.Join(recordTypes(), ", "))
	flags.StringVar(&f.format, "format", "ndjson", "ndjson or csv")
	flags.StringVarP(&f.output, "output", "o", "", "a file, of mode 0600, in place of the standard output; it has its name when it is whole")
	flags.BoolVar(&f.force, "force", false, "replace the file")
	for flag, words := range map[string][]string{"status": statuses(), "type": recordTypes(), "format": {"ndjson", "csv"}} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

func statuses() []string {
	var all []string
	for s := checks.Unknown; s <= checks.Skipped; s++ {
		all = append(all, s.String())
	}
	return all
}

func recordTypes() []string {
	return []string{string(checks.TypeReport), string(checks.TypeAlert), string(checks.TypeAgent)}
}

func exportStore(ctx context.Context, p process, f storeExportFlags) error {
	sel, err := f.selection(time.Now())
	if err != nil {
		return exit(exitUsage, err)
	}
	from, err := f.path(p)
	if err != nil {
		return err
	}
	var done store.Exported
	write := func(w io.Writer) (err error) {
		done, err = exportTo(ctx, w, from, sel, f.format)
		return err
	}
	if f.output != "" {
		err = store.WriteWhole(from, f.output, f.force, write)
	} else {
		buffered := bufio.NewWriterSize(p.stdout, 64<<10)
		err = errors.Join(write(buffered), buffered.Flush())
	}
	switch {
	case errors.Is(err, os.ErrExist):
		return exit(exitUsage, fmt.Errorf("%w; give another name, or --force", err))
	case err != nil:
		return cannot(err)
	}
	if f.output != "" {
		fmt.Fprintf(p.stderr, "%s: %d records\n", f.output, done.Records)
	}
	if done.Damaged > 0 {
		fmt.Fprintf(p.stderr, "warning: %d records are damaged and left out; `windsock store check` names them\n", done.Damaged)
		return exit(exitBadNews, nil)
	}
	return nil
}

func exportTo(ctx context.Context, w io.Writer, from string, sel store.Selection, format string) (store.Exported, error) {
	if format == "csv" {
		table, err := newRecordTable(w)
		if err != nil {
			return store.Exported{}, err
		}
		done, err := store.Export(ctx, from, sel, table.add)
		return done, errors.Join(err, table.flush())
	}
	return store.Export(ctx, from, sel, func(data []byte) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

func (f *storeExportFlags) selection(now time.Time) (store.Selection, error) {
	sel := store.Selection{Checks: f.checks, Statuses: f.statuses, Types: f.types}
	if f.format != "ndjson" && f.format != "csv" {
		return sel, fmt.Errorf("--format is %q, want ndjson or csv", f.format)
	}
	for _, word := range []struct {
		flag        string
		given, want []string
	}{{"status", f.statuses, statuses()}, {"type", f.types, recordTypes()}} {
		for _, value := range word.given {
			if !slices.Contains(word.want, value) {
				return sel, fmt.Errorf("--%s is %q, want one of %s", word.flag, value, strings.Join(word.want, ", "))
			}
		}
	}
	var err error
	if sel.Since, err = moment(f.since, now); err != nil {
		return sel, fmt.Errorf("--since: %w", err)
	}
	if sel.Until, err = moment(f.until, now); err != nil {
		return sel, fmt.Errorf("--until: %w", err)
	}
	if !sel.Since.IsZero() && !sel.Until.IsZero() && !sel.Since.Before(sel.Until) {
		return sel, fmt.Errorf("--since %s is not before --until %s", sel.Since.UTC().Format(time.RFC3339), sel.Until.UTC().Format(time.RFC3339))
	}
	return sel, nil
}

// moment reads how long ago something was, a date (UTC) or RFC 3339; "" is the zero time. What the store cannot have is
// refused: years are those of RFC 3339.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() > 0 {
			return at, nil
		}
	}
	ago, err := params.ParseDuration(text)
	at := now.Add(-ago)
	if err != nil || ago < 0 || at.Year() < 1 {
		return time.Time{}, fmt.Errorf("%q is neither how long ago (24h, 7d) nor a date (2026-11-28) nor RFC 3339 (2026-11-28T08:00:00Z)", text)
	}
	return at, nil
}
