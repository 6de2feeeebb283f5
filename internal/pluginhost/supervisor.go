package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
)

// supervisor keeps one plugin running for as long as something needs it.
type supervisor struct {
	o     *Options
	name  string
	log   *slog.Logger
	calls limiter
	kick  chan struct{} // somebody wants it to start, or to start again
	poke  chan struct{} // there are new instances
	end   context.CancelFunc
	done  chan struct{} // closed when the loop has ended
	stats stats

	mu        sync.Mutex
	entry     Plugin               // guarded by mu, as is all below
	instances map[string]*instance // by id
	number    int                  // of instances, ever
	state     string
	session   *session      // ready, and only then
	changed   chan struct{} // closed when state or session change
	patience  patience
	problem   string
	told      string // the problem that the log has last
	nextTry   time.Time
	lastExit  launch.Exit
	since     time.Time
	outcomes  int                   // attempts that are over
	until     time.Time             // by when it must be gone; zero: as long as it takes
	gone      string                // why it does not come back; "": it may
	dear      map[string]*callError // by kind that cost more than it announced: why it is not run
}

// supervise starts the loop; the plugin is started when it has an instance.
func supervise(o *Options, p Plugin) *supervisor {
	ctx, cancel := context.WithCancel(context.Background())
	s := &supervisor{
		o: o, name: p.Name, log: o.Log.With("plugin", p.Name), end: cancel, entry: p,
		kick: make(chan struct{}, 1), poke: make(chan struct{}, 1), done: make(chan struct{}),
		instances: map[string]*instance{}, state: Stopped, changed: make(chan struct{}),
		patience: patience{times: o.Times}, stats: stats{calls: map[Call]int64{}, restarts: map[string]int64{}},
	}
	s.calls.set(callsOf(p))
	go s.run(ctx)
	return s
}

// callsOf is how many calls may be made at the same time.
func callsOf(p Plugin) int {
	switch {
	case !p.Manifest.Concurrent:
		return 1
	case p.Runs > 0:
		return p.Runs
	}
	return 16
}

// run is the plugin's life.
func (s *supervisor) run(ctx context.Context) {
	defer close(s.done)
	for s.awaitWork(ctx) {
		signalled(s.kick)
		session, err := s.begin(ctx)
		if err == nil {
			err = s.serve(ctx, session)
		}
		if ctx.Err() != nil {
			return
		}
		s.pause(ctx, err)
	}
}

// awaitWork waits until the plugin is needed; false at the end.
func (s *supervisor) awaitWork(ctx context.Context) bool {
	for ctx.Err() == nil {
		s.mu.Lock()
		needed := len(s.instances) > 0
		s.mu.Unlock()
		if needed {
			return true
		}
		s.enter(Stopped)
		select {
		case <-ctx.Done():
		case <-s.kick:
			return true
		case <-s.poke:
		}
	}
	return false
}

// enter changes the state, and lets those look again who wait for it.
func (s *supervisor) enter(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	s.announce()
}

// announce is called with mu held.
func (s *supervisor) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// over is the end of a plugin that was ready, or of an attempt to make it so.
type over struct {
	how     failure
	planned bool // no failure
	reason  string
	text    string
	ready   time.Duration // for how long it was
	exit    launch.Exit
}

func (o *over) Error() string { return o.text }

// pause waits before the next attempt.
func (s *supervisor) pause(ctx context.Context, err error) {
	o, ok := errors.AsType[*over](err)
	if !ok {
		o = &over{how: absent, text: err.Error(), reason: ReasonStart}
	}
	s.stats.restart(o.reason)
	if o.planned {
		return
	}
	s.mu.Lock()
	verdict := s.patience.failed(o.how, time.Now(), o.ready)
	wait := verdict.wait
	s.state, s.problem, s.nextTry = Backoff, o.text, time.Time{}
	if verdict.quarantined {
		s.state = Quarantined
	} else {
		wait = rand.N(wait + 1) //nolint:gosec // so that not all come back at once
	}
	if !verdict.never {
		s.nextTry = time.Now().Add(wait)
	}
	if !o.exit.At.IsZero() {
		s.lastExit = o.exit
	}
	s.outcomes++
	s.announce()
	level := slog.LevelError
	if s.told == o.text {
		level = slog.LevelDebug // as often as it is tried
	}
	s.told = o.text
	state := s.state
	s.mu.Unlock()
	s.log.Log(ctx, level, "plugin failed", "state", state, "problem", o.text, "next_try", wait, "last_lines", strings.Join(o.exit.Stderr, "\n"))
	var due <-chan time.Time
	if !verdict.never {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-due:
	case <-s.kick:
		signal(s.kick) // also for a plugin that nothing needs any more
	}
}

// change gives the plugin a new entry.
func (s *supervisor) change(p Plugin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if same(s.entry, p) {
		return
	}
	s.entry = p
	s.pardon()
	s.calls.set(callsOf(p))
	for _, in := range s.instances {
		in.adopt(p.Manifest)
	}
	if s.state != Stopped {
		signal(s.kick)
	}
}

// pardon forgets the failures, and what waits for the plugin waits again; mu is held.
func (s *supervisor) pardon() {
	s.patience.forget()
	s.dear = nil
	if s.state == Quarantined || s.state == Backoff {
		s.state, s.problem, s.nextTry = Starting, "", time.Time{}
		s.announce()
	}
}

// restart is Host.Restart.
func (s *supervisor) restart(ctx context.Context) error {
	s.mu.Lock()
	want := s.outcomes + 1
	s.pardon()
	signal(s.kick)
	s.mu.Unlock()
	for {
		s.mu.Lock()
		ended, ready, problem, changed, gone := s.outcomes >= want, s.session != nil, s.problem, s.changed, s.gone
		s.mu.Unlock()
		switch {
		case gone != "":
			return fmt.Errorf("plugin %s: %s", s.name, gone)
		case ended && ready:
			return nil
		case ended && problem != "":
			return fmt.Errorf("plugin %s: %s", s.name, problem)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("plugin %s: it is not ready yet: %w", s.name, ctx.Err())
		}
	}
}

// close stops the plugin within ctx, and returns when it is gone.
func (s *supervisor) close(ctx context.Context) {
	s.mu.Lock()
	if deadline, ok := ctx.Deadline(); ok {
		s.until = deadline
	}
	s.gone = "it was stopped"
	s.announce()
	s.mu.Unlock()
	s.end()
	<-s.done
}

// ready waits until there is a session, or none to be had in time.
func (s *supervisor) ready(ctx context.Context) (*session, error) {
	for {
		s.mu.Lock()
		session, changed, problem, err := s.session, s.changed, s.problem, s.unavailable(ctx)
		s.mu.Unlock()
		if session != nil || err != nil {
			return session, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			if problem != "" {
				return nil, s.fault("it did not become ready in time, and the last time: %s", problem)
			}
			return nil, s.fault("it did not become ready in time")
		}
	}
}

// unavailable says why nobody needs to wait for a session; mu is held.
func (s *supervisor) unavailable(ctx context.Context) error {
	deadline, bounded := ctx.Deadline()
	switch {
	case s.gone != "":
		return s.fault("%s", s.gone)
	case s.state == Quarantined:
		return s.fault("quarantined: %s", s.problem)
	case s.state == Backoff && bounded && s.nextTry.After(deadline):
		return s.fault("%s", s.problem)
	}
	return nil
}

// retire takes a session out of use, so that a new one is made.
func (s *supervisor) retire(session *session, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == session {
		s.session, s.state = nil, Draining
		s.announce()
		session.retired <- reason // once: it is not s.session any more
	}
}

// serve watches a plugin that is ready, until it is not. What it started is gone when it returns.
func (s *supervisor) serve(ctx context.Context, session *session) error {
	defer session.helpers.Wait()
	ticker := time.NewTicker(s.o.Times.Health)
	defer ticker.Stop()
	began := time.Now()
	for misses := 0; ; {
		select {
		case <-ctx.Done():
			s.drain(ctx, session)
			return &over{planned: true, exit: session.process.Exit()}
		case <-s.kick:
			s.drain(ctx, session)
			return &over{planned: true, reason: ReasonAsked}
		case reason := <-session.retired:
			s.drain(ctx, session)
			return &over{planned: true, reason: reason}
		case <-session.process.Done():
			s.lose(session)
			exit := session.process.Exit()
			return &over{how: crashed, reason: ReasonCrash, text: "it crashed: " + exit.String(), ready: time.Since(began), exit: exit}
		case <-s.poke:
			session.helpers.Go(func() { s.configureAll(ctx, session) })
		case <-ticker.C:
			var fault *over
			if misses, fault = s.look(ctx, session, misses); fault != nil {
				s.lose(session)
				fault.how, fault.ready, fault.exit = crashed, time.Since(began), session.process.Exit()
				return fault
			}
		}
	}
}

// lose clears away a plugin that is dead, or as good as that.
func (s *supervisor) lose(session *session) {
	s.mu.Lock()
	s.session, s.state = nil, Draining
	s.announce()
	s.mu.Unlock()
	session.process.Kill()
	s.stats.dropped(session.process.Dropped())
}

// drain lets the calls of a plugin end, and the plugin after them.
func (s *supervisor) drain(ctx context.Context, session *session) {
	s.mu.Lock()
	s.session, s.state = nil, Draining
	until := s.until
	s.announce()
	s.mu.Unlock()
	patience, grace := s.o.Times.Drain, s.o.Times.Grace
	if !until.IsZero() {
		left := max(0, time.Until(until))
		patience = min(patience, left/2)
		grace = min(grace, left-patience)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := session.drain(ctx); err != nil {
		s.log.Warn("plugin was not drained", "error", err)
	}
	session.process.Stop(min(grace, max(0, s.leftOf(until, grace))))
	s.stats.dropped(session.process.Dropped())
}

// leftOf is what is left of the time, at most the grace.
func (s *supervisor) leftOf(until time.Time, grace time.Duration) time.Duration {
	if until.IsZero() {
		return grace
	}
	return time.Until(until)
}

// tell is the plugin's State.
func (s *supervisor) tell() State {
	s.mu.Lock()
	out := State{
		Name: s.name, Version: s.entry.Manifest.Version, State: s.state, Path: s.entry.Path, SHA256: s.entry.SHA256,
		Kinds: s.entry.Manifest.Names(), Instances: len(s.instances), NextTry: s.nextTry, LastExit: s.lastExit,
	}
	session := s.session
	if session != nil {
		out.Since, out.NextTry = s.since, time.Time{}
	} else {
		out.Problem = s.problem
	}
	instances := slices.Collect(maps.Values(s.instances))
	var dear string
	for _, kind := range slices.Sorted(maps.Keys(s.dear)) {
		dear = strings.TrimPrefix(s.dear[kind].text, "plugin "+s.name+": ")
	}
	s.mu.Unlock()
	if session != nil {
		out.PID = session.process.PID()
		out.RSS = resident(out.PID)
		out.Abandoned = session.abandonedRuns()
		out.LogDropped = session.process.Dropped()
		out.Problem = cmp.Or(dear, faultsOf(instances))
		out.Guest = session.process.Guest()
	}
	s.stats.put(&out)
	return out
}

// faultsOf is what is wrong with instances, in one sentence.
func faultsOf(all []*instance) string {
	var faults []string
	for _, in := range all {
		if fault := in.wrong(); fault != "" {
			faults = append(faults, in.name()+": "+fault)
		}
	}
	slices.Sort(faults)
	return strings.Join(faults, "; ")
}

// signal leaves a word in a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// signalled takes it out.
func signalled(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// stats are counts. Safe for concurrent use.
type stats struct {
	mu       sync.Mutex
	calls    map[Call]int64   // guarded by mu
	restarts map[string]int64 // guarded by mu
	lines    int64            // guarded by mu: dropped by processes that are gone
	faults   int64            // guarded by mu
}

// call counts a call. A code that gRPC does not have is counted as Unknown: each would be a series of its own for ever.
func (s *stats) call(method string, code codes.Code) {
	if code > codes.Unauthenticated {
		code = codes.Unknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[Call{method, code.String()}]++
}

func (s *stats) restart(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restarts[reason]++
}

func (s *stats) dropped(lines int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines += lines
}

func (s *stats) fault() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults++
}

func (s *stats) put(out *State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Calls, out.Restarts = maps.Clone(s.calls), maps.Clone(s.restarts)
	out.LogDropped += s.lines
	out.Faults = s.faults
}
