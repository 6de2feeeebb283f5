package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/store"
)

type storeCheckFlags struct {
	storeFlags
	output string
	full   bool
}

func newStoreCheck(p process) *cobra.Command {
	var f storeCheckFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the database, every record's checksum, cursors and money; changes nothing",
		Long: `Read the store from one end to the other, beside a running agent or beside none, and say what is
wrong with it and what to do. Nothing is changed, not even of a broken database. What the agent took
in the last moments may still be in its memory only. With --full every index is compared with its
table and every record is decoded.
Exit code 0: well; 3: something is damaged; 1: it cannot be read, or a newer version wrote it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return checkStore(cmd.Context(), p, f) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.full, "full", false, "also compare indexes with tables, and decode every record")
	outputFlag(cmd, &f.output)
	return cmd
}

// storeChecked is the JSON form of what check found.
type storeChecked struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	*store.Inspection
}

func checkStore(ctx context.Context, p process, f storeCheckFlags) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	path, err := f.path(p)
	if err != nil {
		return err
	}
	seen, err := store.Inspect(ctx, path, f.full)
	_, newer := errors.AsType[*store.NewerError](err)
	switch {
	case err != nil && asJSON && newer:
		return errors.Join(printJSON(p.stdout, storeChecked{Error: err.Error(), Inspection: seen}), exit(exitCannot, nil))
	case err != nil:
		return cannot(err)
	case asJSON:
		err = printJSON(p.stdout, storeChecked{OK: len(seen.Troubles) == 0, Inspection: seen})
	default:
		printInspection(p.stdout, seen, time.Now())
	}
	if err == nil && len(seen.Troubles) > 0 {
		err = exit(exitBadNews, nil)
	}
	return err
}

func printInspection(w io.Writer, in *store.Inspection, now time.Time) {
	fmt.Fprintf(w, "%s: schema version %d", in.Path, in.Schema)
	if in.WrittenBy != "" {
		fmt.Fprintf(w, ", written by windsock %s", in.WrittenBy)
	}
	fmt.Fprintf(w, "\n%d records", in.Records)
	if in.Records > 0 {
		fmt.Fprintf(w, ", %s to %s", in.Oldest.UTC().Format(time.RFC3339), in.Newest.UTC().Format(time.RFC3339))
	}
	s := in.Sizes
	fmt.Fprintf(w, "\n%s database (%s of it free), %s log, %s in all", size(s.Database), size(s.Free), size(s.Log), size(s.Total))
	if s.Aside > 0 {
		fmt.Fprintf(w, ", %s of them moved aside as corrupt", size(s.Aside))
	}
	if s.Kept > 0 {
		fmt.Fprintf(w, ", %s of them kept from before an upgrade", size(s.Kept))
	}
	fmt.Fprintln(w)
	if len(in.Exporters) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "EXPORTER\tTO READ\tOLDEST")
		for _, e := range in.Exporters {
			oldest := "-"
			if !e.Oldest.IsZero() {
				oldest = ago(now.Sub(e.Oldest))
			}
			fmt.Fprintf(table, "%s\t%d\t%s\n", e.Exporter, e.Records, oldest)
		}
		_ = table.Flush()
	}
	for _, note := range in.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	for _, t := range in.Troubles {
		fmt.Fprintf(w, "✗ %s: %s\n  hint: %s\n", t.Where, t.What, t.Fix)
	}
	how := "checksums and pages"
	if in.Full {
		how = "checksums, pages, indexes and contents"
	}
	if len(in.Troubles) == 0 {
		fmt.Fprintf(w, "✓ well: %s\n", how)
	}
}
