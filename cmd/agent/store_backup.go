package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/windsock-monitor/windsock/internal/store"
)

type storeBackupFlags struct {
	storeFlags
	output string
	force  bool
}

func newStoreBackup(p process) *cobra.Command {
	var f storeBackupFlags
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the database into FILE, also while the agent runs",
		Long: `Copy the database as it is in one moment into FILE, beside a running agent, which goes on writing, or
beside none. FILE has mode 0600 and gets its name when all of it was read back and is on the disk.
"-" writes it to the standard output, which must not be a terminal. docs/operations/backup.md says how
a backup is restored, and what becomes of money and of exporters then.
Exit code 0: written; 3: written, with records that are damaged in the store too; 2: there is such a
file, and --force was not given; 1: nothing was written.`,
		Example: "  windsock store backup /var/backups/windsock-$(date +%F).db\n  windsock store check --store /var/backups/windsock-2026-11-28.db",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return backUpStore(cmd.Context(), p, f, args[0]) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.force, "force", false, "replace FILE")
	outputFlag(cmd, &f.output)
	return cmd
}

func backUpStore(ctx context.Context, p process, f storeBackupFlags, to string) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	from, err := f.path(p)
	if err != nil {
		return err
	}
	if to == "-" {
		return backUpToStdout(ctx, p, from)
	}
	b, err := store.WriteBackup(ctx, from, to, f.force)
	switch {
	case errors.Is(err, os.ErrExist):
		return exit(exitUsage, fmt.Errorf("%w; give another name, or --force", err))
	case err != nil:
		return cannot(err)
	case asJSON:
		err = printJSON(p.stdout, b)
	default:
		fmt.Fprintf(p.stdout, "%s: %d records, %s, schema version %d, read back, in %s\n", b.Path, b.Records, size(b.Bytes), b.Schema, b.Took.Round(time.Millisecond))
	}
	return errors.Join(err, damaged(p, b))
}

// damaged says what is wrong with the records of a backup.
func damaged(p process, b *store.Backup) error {
	for _, t := range b.Troubles {
		fmt.Fprintf(p.stderr, "warning: %s: %s\n", t.Where, t.What)
	}
	if len(b.Troubles) > 0 {
		return exit(exitBadNews, nil)
	}
	return nil
}

// backUpToStdout goes by a file of its own: only a whole copy is handed on.
func backUpToStdout(ctx context.Context, p process, from string) (err error) {
	if file, ok := p.stdout.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return exit(exitUsage, errors.New("a database is not for a terminal: send it to a file or to a pipe"))
	}
	dir, err := os.MkdirTemp("", "windsock-backup-")
	if err != nil {
		return exit(exitCannot, fmt.Errorf("making a place for the copy: %w", err))
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b, err := store.WriteBackup(ctx, from, filepath.Join(dir, "windsock.db"), false)
	if err != nil {
		return exit(exitCannot, err)
	}
	file, err := os.Open(b.Path)
	if err != nil {
		return exit(exitCannot, fmt.Errorf("reading the copy: %w", err))
	}
	defer func() { _ = file.Close() }()
	if _, err := io.Copy(p.stdout, file); err != nil {
		return exit(exitCannot, fmt.Errorf("writing the copy: %w", err))
	}
	return damaged(p, b)
}
