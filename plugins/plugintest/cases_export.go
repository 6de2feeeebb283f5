package plugintest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// usualBatch is how many records the agent puts into a batch where nobody says.
const usualBatch = 500

func (k *kind) most() int {
	if k.MaxBatch > 0 {
		return min(k.MaxBatch, 10_000)
	}
	return usualBatch
}

func (a *attempt) lostRefresh(ctx context.Context, i *instance) error {
	_, err := i.refresh(ctx, nil, i.kind.timeout())
	if code := status.Code(err); code != codes.FailedPrecondition {
		return fmt.Errorf("kind %q: Refresh of an instance that was never configured answered %s, want FailedPrecondition", i.kind.Name, code)
	}
	return nil
}

func exportsWell(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.each(manifest.Exporter, func(k *kind) error {
		i, err := a.good(ctx, p.clients, k)
		if err != nil {
			return err
		}
		if k.away {
			return k.lacksGood()
		}
		if k.guessed {
			a.note("kind %q: its parameters are guessed, so that any disposition is taken; write kinds.%s.good into the file of --config", k.Name, k.Name)
		}
		if err := a.empty(ctx, i); err != nil {
			return err
		}
		for _, n := range []int{1, 3, k.most()} {
			if err := a.batch(ctx, i, a.suite.id("batch"), a.suite.records(n, k)); err != nil {
				return err
			}
		}
		return errors.Join(a.twice(ctx, i), a.refreshes(ctx, i))
	})
}

// refreshes tells a kind that asks for it of no alert, and of one.
func (a *attempt) refreshes(ctx context.Context, i *instance) error {
	if !i.kind.Refresh {
		return nil
	}
	for _, alerts := range [][]*pluginv1.Alert{nil, {alert(time.Now())}} {
		answer, err := i.refresh(ctx, alerts, i.kind.timeout())
		if err != nil {
			return fmt.Errorf("kind %q: Refresh with %d alerts: %w", i.kind.Name, len(alerts), said(err))
		}
		if d := answer.GetDisposition(); d != pluginv1.Disposition_DISPOSITION_DONE && !i.kind.guessed {
			return fmt.Errorf("kind %q: Refresh with %d alerts and the good parameters is %s: %q; want DISPOSITION_DONE", i.kind.Name, len(alerts), d, clip(answer.GetMessage()))
		}
	}
	return nil
}

// empty sends a batch of none, which the agent never does: it is done, or refused as what it is.
func (a *attempt) empty(ctx context.Context, i *instance) error {
	answer, err := i.send(ctx, a.suite.id("batch"), nil, i.kind.timeout())
	if err == nil {
		return validExport(i.kind, answer, 0)
	}
	if code := status.Code(err); code != codes.InvalidArgument {
		return fmt.Errorf("kind %q: an export of no record is an error of the call, %w; want DISPOSITION_DONE or INVALID_ARGUMENT", i.kind.Name, said(err))
	}
	return nil
}

func (a *attempt) batch(ctx context.Context, i *instance, id string, records []*pluginv1.Record) error {
	answer, err := i.send(ctx, id, records, i.kind.timeout())
	if err != nil {
		return fmt.Errorf("kind %q: Export of %d: %w", i.kind.Name, len(records), said(err))
	}
	return errors.Join(validExport(i.kind, answer, len(records)), wellExported(i.kind, answer))
}

// twice sends the same batch again, as after a crash of the agent.
func (a *attempt) twice(ctx context.Context, i *instance) error {
	records, id := a.suite.records(3, i.kind), a.suite.id("batch")
	for range 2 {
		if err := a.batch(ctx, i, id, records); err != nil {
			return fmt.Errorf("the same batch twice: %w", err)
		}
	}
	return nil
}

func backendAway(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.each(manifest.Exporter, func(k *kind) error {
		if err := a.notDone(ctx, p, k, nil); err != nil {
			return err
		}
		if k.config.BlackHole == nil {
			return nil
		}
		hole, err := a.hole(ctx)
		if err != nil {
			return err
		}
		return a.notDone(ctx, p, k, hole)
	})
}

// notDone exports to a backend that refuses, or with a black hole to one that never answers. Configure may refuse to open
// what is not there, and says so with a diagnostic.
func (a *attempt) notDone(ctx context.Context, p *process, k *kind, hole *blackHole) error {
	i, err := a.away(ctx, p.clients, k, hole)
	if err != nil {
		return err
	}
	began := time.Now()
	answer, err := i.send(ctx, a.suite.id("batch"), a.suite.records(2, k), awayLimit)
	switch {
	case status.Code(err) == codes.DeadlineExceeded && hole != nil:
		if !hole.left(ctx, grace) {
			return fmt.Errorf("kind %q: %s after the deadline of an export its connection was still open", k.Name, grace)
		}
		return nil // the agent sends the batch again
	case err != nil:
		return fmt.Errorf("kind %q: an export to a backend that is away is an error of the call, %w; want DISPOSITION_RETRY or DISPOSITION_HOLD", k.Name, said(err))
	}
	if err := validExport(k, answer, 2); err != nil {
		return err
	}
	d := answer.GetDisposition()
	if waits(d) && k.Refresh && hole == nil {
		return a.refreshAway(ctx, i)
	}
	if !waits(d) {
		return fmt.Errorf("kind %q: an export to a backend that is away is %s after %s; want DISPOSITION_RETRY or DISPOSITION_HOLD", k.Name, d, time.Since(began).Round(time.Millisecond))
	}
	return nil
}

func waits(d pluginv1.Disposition) bool {
	return d == pluginv1.Disposition_DISPOSITION_RETRY || d == pluginv1.Disposition_DISPOSITION_HOLD
}

func (a *attempt) refreshAway(ctx context.Context, i *instance) error {
	answer, err := i.refresh(ctx, []*pluginv1.Alert{alert(time.Now())}, awayLimit)
	if err != nil {
		return fmt.Errorf("kind %q: Refresh with a backend that is away is an error of the call, %w; want DISPOSITION_RETRY or DISPOSITION_HOLD", i.kind.Name, said(err))
	}
	if d := answer.GetDisposition(); !waits(d) {
		return fmt.Errorf("kind %q: Refresh with a backend that is away is %s; want DISPOSITION_RETRY or DISPOSITION_HOLD", i.kind.Name, d)
	}
	return nil
}

func takesMebibyte(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.each(manifest.Exporter, func(k *kind) error {
		i, err := a.good(ctx, p.clients, k)
		if err != nil {
			return err
		}
		records := a.suite.heavy(1<<20, k.most(), k)
		answer, err := i.send(ctx, a.suite.id("batch"), records, k.timeout())
		if err != nil {
			return fmt.Errorf("kind %q: Export of %d records that are 1 MiB in all: %w", k.Name, len(records), said(err))
		}
		return wellExported(k, answer)
	})
}
