package plugintest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

func runsWell(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.each(manifest.Check, func(k *kind) error {
		i, err := a.good(ctx, p.clients, k)
		if err != nil {
			return err
		}
		if k.away {
			return k.lacksGood()
		}
		if k.guessed {
			a.note("kind %q: its parameters are guessed, so that any status is taken; kinds.%s.good in the file of --config makes it ok", k.Name, k.Name)
		}
		return a.remembers(ctx, i)
	})
}

// remembers makes a few runs, each with what the one before left.
func (a *attempt) remembers(ctx context.Context, i *instance) error {
	var memory []byte
	for range 3 {
		answer, err := i.runWith(ctx, &pluginv1.RunRequest{RunId: a.suite.id("run"), Memory: memory}, i.kind.timeout())
		if err != nil {
			return fmt.Errorf("kind %q: Run: %w", i.kind.Name, said(err))
		}
		if err := errors.Join(validRun(i.kind, answer), wellRun(i.kind, answer)); err != nil {
			return err
		}
		if answer.Memory != nil {
			memory = answer.GetMemory()
		}
	}
	return nil
}

func (i *instance) runWith(ctx context.Context, r *pluginv1.RunRequest, timeout time.Duration) (*pluginv1.RunResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+grace)
	defer cancel()
	r.InstanceId, r.Timeout = i.id, durationpb.New(timeout)
	return i.check.Run(ctx, r) //nolint:wrapcheck // its code is looked at
}

// notThere says what is wrong with the answer about a target that is away.
func notThere(k *kind, answer *pluginv1.RunResponse, target string) error {
	if err := validRun(k, answer); err != nil {
		return err
	}
	got := answer.GetResult().GetStatus()
	if got != pluginv1.Status_STATUS_FAILED && got != pluginv1.Status_STATUS_UNKNOWN {
		return fmt.Errorf("kind %q: of a target that %s the run says %s: %q; want STATUS_FAILED or STATUS_UNKNOWN", k.Name, target, got, clip(answer.GetResult().GetSummary()))
	}
	return nil
}

func targetRefuses(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.each(manifest.Check, func(k *kind) error {
		i, err := a.away(ctx, p.clients, k, nil)
		if err != nil {
			return err
		}
		answer, err := i.run(ctx, a.suite.id("run"), awayLimit)
		if err != nil {
			return fmt.Errorf("kind %q: of a target that refuses Run is an error of the call, %w; want a result", k.Name, said(err))
		}
		return notThere(k, answer, "refuses")
	})
}

func targetHangs(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.each(manifest.Check, func(k *kind) error { return a.hangs(ctx, p, k) })
}

// hangs runs against a target that never answers. An answer is a result; where the call's own end came first, the black
// hole sees whether the run has ended with it.
func (a *attempt) hangs(ctx context.Context, p *process, k *kind) error {
	hole, err := a.hole(ctx)
	if err != nil {
		return err
	}
	i, err := a.away(ctx, p.clients, k, hole)
	if err != nil {
		return err
	}
	answer, err := i.run(ctx, a.suite.id("run"), awayLimit)
	if err != nil && status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("kind %q: of a target that never answers Run is an error of the call, %w; want a result", k.Name, said(err))
	}
	if err == nil {
		if err := notThere(k, answer, "never answers"); err != nil {
			return err
		}
	}
	if err != nil && !hole.left(ctx, grace) {
		return fmt.Errorf("kind %q: with a timeout of %s the run did not answer within %s, and its connection was still open %s later", k.Name, awayLimit, awayLimit+grace, grace)
	}
	if err != nil {
		a.note("kind %q: the run ends with the deadline of the call and says nothing; better is a result that says that the target did not answer", k.Name)
	}
	return a.stillWorks(ctx, p, k)
}

// stillWorks makes a good run in a process that has seen something bad.
func (a *attempt) stillWorks(ctx context.Context, p *process, k *kind) error {
	if k.config.Good == nil {
		return nil
	}
	i, err := a.good(ctx, p.clients, k)
	if err != nil {
		return err
	}
	if err := a.use(ctx, i); err != nil {
		return fmt.Errorf("the run after it: %w", err)
	}
	return nil
}

func cancelled(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.each(manifest.Check, func(k *kind) error { return a.cancel(ctx, p, k) })
}

// cancel ends the call while the run waits. A library that blocks may keep the run until its timeout, and not longer.
func (a *attempt) cancel(ctx context.Context, p *process, k *kind) error {
	hole, err := a.hole(ctx)
	if err != nil {
		return err
	}
	i, err := a.away(ctx, p.clients, k, hole)
	if err != nil {
		return err
	}
	const timeout = 3 * time.Second
	run, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = i.run(run, a.suite.id("run"), timeout)
	}()
	reached := hole.reached(ctx, 0, stopLimit)
	pause(ctx, 100*time.Millisecond) // past its dialling
	stop()
	<-done // the call ends with its context; what is asked is whether the run does
	if err := a.stillWorks(ctx, p, k); err != nil {
		return err
	}
	switch {
	case !reached:
		a.note("kind %q: the run did not connect to {{blackhole}} within %s, so that only the run after it was looked at", k.Name, stopLimit)
	case hole.left(ctx, grace):
	case hole.left(ctx, timeout):
		a.note("kind %q: a run that was cancelled went on until its timeout; better is one that ends at once", k.Name)
	default:
		return fmt.Errorf("kind %q: a run that was cancelled went on beyond its timeout of %s: its connection was still open", k.Name, timeout)
	}
	return nil
}

func concurrent(ctx context.Context, a *attempt) error {
	if !a.suite.manifest.Concurrent {
		return skip("it is not concurrent")
	}
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	return a.every(func(k *kind) error { return a.together(ctx, p.clients, k) })
}

// together uses 32 instances at the same time.
func (a *attempt) together(ctx context.Context, c clients, k *kind) error {
	const n = 32
	all := make([]*instance, n)
	for j := range all {
		var err error
		if all[j], err = a.good(ctx, c, k); err != nil {
			return err
		}
	}
	if err := a.useAll(ctx, all); err != nil {
		return fmt.Errorf("with %d at the same time: %w", n, err)
	}
	for _, i := range all {
		if err := i.release(ctx); err != nil {
			return err
		}
	}
	return nil
}

// useAll uses each of the instances a few times, all of them at the same time, and returns what was wrong first.
func (a *attempt) useAll(ctx context.Context, all []*instance) error {
	var group errgroup.Group
	for _, i := range all {
		group.Go(func() error {
			for range 3 {
				if err := a.use(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait() //nolint:wrapcheck // they have their sentences
}

func leaksNothing(ctx context.Context, a *attempt) error {
	p, err := a.start(ctx)
	if err != nil {
		return err
	}
	var all []*instance
	var errs []error
	for _, k := range a.suite.kinds {
		i, err := a.good(ctx, p.clients, k)
		errs = append(errs, err)
		if err == nil {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		return errors.Join(errs...)
	}
	const warm, runs, most = 200, 1000, 30 * time.Second
	began := time.Now()
	before, made, err := a.soak(ctx, p, all, warm, began.Add(most/3))
	if err != nil {
		return err
	}
	after, n, err := a.soak(ctx, p, all, runs-warm, began.Add(most))
	if err != nil {
		return err
	}
	if made += n; made < runs {
		a.note("%d runs in %s instead of %d: they are slow", made, most, runs)
	}
	return errors.Join(append(errs, grew(before, after, n))...)
}

// soak makes runs until there are enough or it is time, and measures.
func (a *attempt) soak(ctx context.Context, p *process, all []*instance, runs int, until time.Time) (footprint, int, error) {
	made := 0
	for ; made < runs && time.Now().Before(until); made++ {
		if err := a.use(ctx, all[made%len(all)]); err != nil {
			return footprint{}, made, err
		}
	}
	f, err := measure(p.pid)
	if err != nil {
		return f, made, untried("%v", err)
	}
	return f, made, nil
}

// grew compares footprints. A runtime's own threads and a heap that breathes are no leak.
func grew(before, after footprint, runs int) error {
	const someFiles, someThreads, someMemory = 4, 8, 6 << 20
	var errs []error
	say := func(what string, before, after int64) {
		errs = append(errs, fmt.Errorf("%s went from %d to %d in %d runs", what, before, after, runs))
	}
	if after.files > before.files+someFiles {
		say("its open descriptors", int64(before.files), int64(after.files))
	}
	if after.threads > before.threads+someThreads {
		say("its threads", int64(before.threads), int64(after.threads))
	}
	if after.memory > before.memory+before.memory/5 && after.memory > before.memory+someMemory {
		say("its memory in KiB", before.memory>>10, after.memory>>10)
	}
	return errors.Join(errs...)
}
