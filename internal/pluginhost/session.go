package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/status"

	"github.com/windsock-monitor/windsock/internal/executable"
	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
	"github.com/windsock-monitor/windsock/plugins/wire"
)

const (
	maxMisses    = 3 // questions for its health that a plugin may leave without an answer
	maxAbandoned = 8 // runs that may not have come back
	atOnce       = 4 // instances that are configured at the same time
)

// session is one process of a plugin that has said what it is.
type session struct {
	process  *launch.Process
	base     pluginv1.BasePluginClient
	check    pluginv1.CheckPluginClient
	exporter pluginv1.ExporterPluginClient
	retired  chan string    // holds one reason to end it
	helpers  sync.WaitGroup // goroutines of the one who serves it
	answered atomic.Int64   // when it last did, in nanoseconds
	ended    atomic.Bool    // by the agent

	mu        sync.Mutex
	abandoned map[*instance]int // guarded by mu: runs that did not come back
}

// begin makes a session: file, process, manifest, instances.
func (s *supervisor) begin(ctx context.Context) (*session, error) {
	s.mu.Lock()
	entry := s.entry
	s.state, s.nextTry = Starting, time.Time{}
	s.announce()
	s.mu.Unlock()
	process, err := s.launch(ctx, entry)
	if err != nil {
		return nil, failedStart(err)
	}
	session := newSession(process)
	if err := s.describe(ctx, session, entry); err != nil {
		process.Kill()
		s.stats.dropped(process.Dropped())
		return nil, err
	}
	s.enter(Configuring)
	s.configureAll(ctx, session)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session, s.state, s.problem, s.told, s.since = session, Ready, "", "", time.Now()
	s.outcomes++
	s.announce()
	s.log.Info("plugin ready", "version", entry.Manifest.Version, "pid", process.PID(), "instances", len(s.instances))
	return session, nil
}

func newSession(process *launch.Process) *session {
	conn := process.Conn()
	return &session{
		process: process, retired: make(chan string, 1), abandoned: map[*instance]int{},
		base: pluginv1.NewBasePluginClient(conn), check: pluginv1.NewCheckPluginClient(conn), exporter: pluginv1.NewExporterPluginClient(conn),
	}
}

// launch starts the process.
func (s *supervisor) launch(ctx context.Context, entry Plugin) (*launch.Process, error) {
	if guest, ok := s.o.Guests[s.name]; ok {
		s.log.Warn("plugin is one that was started for a debugger: it is neither checked nor confined", "pid", guest.PID)
		return launch.Attach(ctx, s.name, guest.PID, guest.Socket)
	}
	program := launch.Program{
		Name: s.name, Path: entry.Path, Open: func() (*os.File, error) { return executable.Read(entry.Path) }, SHA256: entry.SHA256,
		Env: environment(entry.Env, s.o.Zone), Policy: entry.Policy, Sockets: s.o.Sockets, MTLS: entry.MTLS, Log: s.o.Log,
		Scrub: s.o.Scrubber.String, StartTimeout: s.o.Times.Start,
	}
	program.Policy.Read = append(slices.Clip(entry.Policy.Read), filepath.Dir(entry.Path))
	if s.o.Dev {
		program.SHA256 = ""
	}
	if s.o.Cgroups != nil {
		group, err := s.o.Cgroups.Make("plugin-"+s.name, entry.Policy.Memory, entry.Pids)
		if err != nil {
			return nil, &over{how: absent, reason: ReasonStart, text: err.Error()}
		}
		program.Cgroup = group
	}
	return launch.Start(ctx, program)
}

// environment is all that a plugin sees, beside its own folder and the handshake's.
func environment(own map[string]string, zone string) []string {
	all := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
	if zone != "" {
		all["TZ"] = zone
	}
	maps.Copy(all, own)
	out := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, name+"="+all[name])
	}
	return out
}

// failedStart says what a plugin that could not be started means for the next attempt.
func failedStart(err error) *over {
	if o, ok := errors.AsType[*over](err); ok {
		return o
	}
	o := &over{how: absent, reason: ReasonStart, text: err.Error()}
	e, ok := errors.AsType[*launch.Error](err)
	if !ok {
		return o
	}
	o.text = e.Text
	if e.Exit != nil {
		o.exit, o.how = *e.Exit, unfit
	}
	switch e.Class {
	case launch.Digest:
		o.how = different
	case launch.Ours:
		o.how = absent
	case launch.Handshake, launch.Protocol, launch.Crash:
		o.how = unfit
	case launch.Missing, launch.Refused, launch.Format:
	}
	return o
}

// describe asks the plugin what it is: what was locked, and nothing else.
func (s *supervisor) describe(ctx context.Context, session *session, entry Plugin) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Times.Describe)
	defer cancel()
	answer, err := session.base.Describe(ctx, &pluginv1.DescribeRequest{
		HostVersion: s.o.Version, Capabilities: &pluginv1.HostCapabilities{Memory: true, Refresh: true},
	})
	s.stats.call("Describe", status.Code(err))
	if err != nil {
		return &over{how: unfit, reason: ReasonStart, text: "it did not say what it is: " + s.words(err)}
	}
	got, err := manifest.FromWire(answer)
	if err != nil {
		return &over{how: unfit, reason: ReasonStart, text: "what it says of itself cannot be used: " + oneLine(err)}
	}
	if got.Name != s.name {
		return &over{how: different, reason: ReasonStart, text: fmt.Sprintf("the program calls itself %q; give the entry that name", got.Name)}
	}
	changes := manifest.Differences(entry.Manifest, got)
	if len(changes) == 0 {
		return nil
	}
	if s.o.Dev || session.process.Guest() {
		s.log.Warn("plugin is not the one that was locked", "first_difference", changes[0])
		return nil
	}
	return &over{how: different, reason: ReasonStart, text: fmt.Sprintf("it is not the one that was locked (%s); if it was updated on purpose, run: windsock plugins lock", changes[0])}
}

// configureAll makes every instance that the session has not, or has otherwise. What is wrong with one is its own.
func (s *supervisor) configureAll(ctx context.Context, session *session) {
	// Those that are left over are made with their first call.
	ctx, cancel := context.WithTimeout(ctx, 2*s.o.Times.Configure)
	defer cancel()
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.instances))
	s.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, in := range all {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, s.o.Times.Configure)
			defer cancel()
			if in.take(ctx) == nil {
				_ = in.ensure(ctx, session) // kept in the instance, and told with each run
				in.give()
			}
			return nil
		})
	}
	_ = group.Wait()
}

// look is done now and then. The fault is why the plugin has to be ended.
func (s *supervisor) look(ctx context.Context, session *session, misses int) (int, *over) {
	if text := session.process.Overfull(); text != "" {
		return misses, &over{reason: ReasonDisk, text: text + ", and it was ended"}
	}
	if misses = s.checkHealth(ctx, session, misses); misses >= maxMisses {
		return misses, &over{reason: ReasonHealth, text: fmt.Sprintf("it did not answer %d questions for its health, and was ended", maxMisses)}
	}
	return misses, nil
}

// checkHealth asks for the plugin's health, where it has not answered anything meanwhile.
func (s *supervisor) checkHealth(ctx context.Context, session *session, misses int) int {
	if session.process.Guest() {
		return 0 // it may stand at a breakpoint
	}
	if time.Since(time.Unix(0, session.answered.Load())) < s.o.Times.Health {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Times.HealthLimit)
	defer cancel()
	if err := session.process.Health(ctx); err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		s.log.Warn("plugin is not well", "error", s.o.Scrubber.String(err.Error()), "misses", misses+1)
		return misses + 1
	}
	return 0
}

func (s *session) drain(ctx context.Context) error {
	s.ended.Store(true)
	if _, err := s.base.Drain(ctx, &pluginv1.DrainRequest{}); err != nil {
		return fmt.Errorf("draining: %s", wire.Line(status.Convert(err).Message()))
	}
	return nil
}

// heard notes that the plugin has answered a call of an instance: those before it are over, because an instance has one at
// a time.
func (s *session) heard(in *instance) {
	s.answered.Store(time.Now().UnixNano())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.abandoned, in)
}

// abandon notes a run that did not come back, and reports whether there are too many.
func (s *session) abandon(in *instance) bool {
	s.mu.Lock()
	s.abandoned[in]++
	s.mu.Unlock()
	return s.abandonedRuns() > maxAbandoned
}

func (s *session) abandonedRuns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, one := range s.abandoned {
		n += one
	}
	return n
}
