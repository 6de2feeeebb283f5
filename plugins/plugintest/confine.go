package plugintest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

// The limits of case 26.
const (
	confinedMemory  = 128 << 20
	confinedThreads = 64
	confinedFiles   = 256
)

// confined starts the plugin as the agent does, through its launcher.
func (a *attempt) confined(ctx context.Context, policy sandbox.Policy) (*launch.Process, clients, error) {
	sockets, err := launch.TempSockets()
	if err != nil {
		return nil, clients{}, fmt.Errorf("making a folder for the socket: %w", err)
	}
	a.after(func() { _ = os.RemoveAll(sockets) })
	s := a.suite
	env := []string{"PATH=" + searchPath, "LANG=C.UTF-8"}
	for _, name := range slices.Sorted(maps.Keys(s.o.Config.Env)) {
		env = append(env, name+"="+s.o.Config.Env[name])
	}
	policy.Read = append(slices.Clone(s.o.Config.Read), filepath.Dir(s.o.Path))
	p, err := launch.Start(ctx, launch.Program{
		Name: s.name(), Path: s.o.Path, Env: env, Policy: policy, Sockets: sockets, MTLS: s.offersTLS, Log: s.o.Log, StartTimeout: startLimit,
	})
	if err != nil {
		return nil, clients{}, fmt.Errorf("under confinement: %w", err)
	}
	a.after(func() { p.Stop(stopLimit) })
	return p, clientsOf(p.Conn()), nil
}

// name is the plugin's, or that of its file.
func (s *suite) name() string {
	if s.manifest.Name != "" {
		return s.manifest.Name
	}
	return filepath.Base(s.o.Path)
}

// noteMissing says what this kernel cannot hold a plugin to: the case shows less there.
func (a *attempt) noteMissing() {
	if offer := sandbox.Look(); offer.Landlock == 0 || !offer.Seccomp {
		a.note("this kernel confines less than the agent can: %s", offer)
	}
}

func describesAlone(ctx context.Context, a *attempt) error {
	_, c, err := a.confined(ctx, sandbox.Policy{Network: sandbox.NetworkNone})
	if err != nil {
		return err
	}
	a.noteMissing()
	if _, err := describe(ctx, c); err != nil {
		return fmt.Errorf("without network, home and temporary folder: %w", err)
	}
	return nil
}

func worksConfined(ctx context.Context, a *attempt) error {
	policy := sandbox.Policy{Memory: confinedMemory, Files: confinedFiles, Write: append(slices.Clone(a.suite.o.Config.Write), a.suite.root)}
	p, c, err := a.confined(ctx, policy)
	if err != nil {
		return err
	}
	a.noteMissing()
	err = a.every(func(k *kind) error {
		all := make([]*instance, 0, 8)
		for range cap(all) {
			i, err := a.good(ctx, c, k)
			if err != nil {
				return err
			}
			all = append(all, i)
		}
		if a.suite.manifest.Concurrent {
			return a.useAll(ctx, all)
		}
		for _, i := range all {
			if err := a.use(ctx, i); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, within(p.PID(), a))
}

// within compares what the process takes with the limits. Memory and threads are bounded by a cgroup, which the suite may
// not have.
func within(pid int, a *attempt) error {
	f, err := measure(pid)
	if err != nil {
		a.note("%v", err)
		return nil
	}
	a.note("it takes %d MiB, %d threads and %d descriptors", f.memory>>20, f.threads, f.files)
	var errs []error
	if f.memory > confinedMemory {
		errs = append(errs, fmt.Errorf("it takes %d MiB of memory, want at most %d", f.memory>>20, confinedMemory>>20))
	}
	if f.threads > confinedThreads {
		errs = append(errs, fmt.Errorf("it has %d threads, want at most %d", f.threads, confinedThreads))
	}
	return errors.Join(errs...)
}

// pause waits, unless the suite ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
