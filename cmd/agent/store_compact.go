package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/store"
)

type storeCompactFlags struct {
	storeFlags
	output string
}

func newStoreCompact(p process) *cobra.Command {
	var f storeCompactFlags
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Give free space of the database back to the file system",
		Long: `Have the running agent drop what is too old, give back all free pages and empty the log, in small steps
while checks and exports go on. Where no agent runs, write the database anew: that needs as much room
again as the records take, which is looked for first, and the old file stands until the new one is
whole. The agent gives pages back by itself; this is for a disk that needs them now.
Exit code 0: done; 1: not done, and nothing was changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return compactStore(cmd.Context(), p, f) },
	}
	configFlag(cmd, &f.config)
	cmd.Flags().StringVar(&f.store, "store", "", "a state directory on which no agent runs, in place of the configuration's")
	outputFlag(cmd, &f.output)
	return cmd
}

func compactStore(ctx context.Context, p process, f storeCompactFlags) error {
	asJSON, err := wantOutput(f.output)
	if err != nil {
		return err
	}
	done, err := f.compact(ctx, p)
	switch {
	case err != nil:
		return err
	case asJSON:
		return printJSON(p.stdout, done)
	}
	by := "written anew"
	if done.Online {
		by = "by the running agent"
	}
	fmt.Fprintf(p.stdout, "database %s (%s of it free), log %s → database %s (%s of it free), log %s; %s\n",
		size(done.Before.Database), size(done.Before.Free), size(done.Before.Log),
		size(done.After.Database), size(done.After.Free), size(done.After.Log), by)
	return nil
}

// compact asks the running agent; where none answers it does the work itself.
func (f *storeCompactFlags) compact(ctx context.Context, p process) (done store.Compaction, err error) {
	silent := errors.New("--store was given")
	if f.store == "" {
		client, err := clientOf(ctx, p, f.config)
		if err != nil {
			return done, err
		}
		silent = client.Call(ctx, http.MethodPost, "/v1/store/compact", nil, &done)
		if _, refused := errors.AsType[*agent.RefusedError](silent); silent == nil || refused {
			return done, asked(silent)
		}
	}
	dir, err := f.path(p)
	if err != nil {
		return done, err
	}
	done, err = store.CompactDir(ctx, dir)
	if locked, ok := errors.AsType[*store.LockedError](err); ok {
		err = fmt.Errorf("%s, which was not asked to do it (%w): ask it without --store, as root or as its user, or stop it", locked.Error(), silent)
	}
	if err != nil {
		return done, cannot(err)
	}
	return done, nil
}
