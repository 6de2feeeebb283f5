// Package simulator is a Mistral API that misbehaves on request: models, one model, chat (streamed and not) and
// embeddings, in the dialect that was recorded from the real one, with faults by scenario, by Go and by an admin endpoint.
// It invents its answers, knows no real key, and calls nobody. It shares no code with the client that is tested on it.
package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Options is what a Server may be told. The zero value is a healthy API that accepts any key and answers at once.
type Options struct {
	Keys map[string]bool // the accepted API keys; any that is not empty where the set is empty
	// AdminKeys are accepted at /v1/admin, and there only they are; any that begins with "admin" where the set is empty.
	AdminKeys map[string]bool
	Log       *slog.Logger // every request at debug, every phase at info; nil is silent. Never a key
	Seed      int64        // of probabilities, jitter, padding and ids
	Speed     float64      // every latency and the quota's minute are divided by it; 0 is 1
	Scenario  *Scenario    // may be nil
	// OnPhase is called when a phase begins, one call at a time and in order, with the moment at which it was due. It must
	// return soon and may call Phase and Stats.
	OnPhase func(name string, at time.Time)
	// RequestsPerMinute is the account's quota on the paid routes; 0 is DefaultRequestsPerMinute.
	RequestsPerMinute int64
}

// Server is the simulated API. Its methods may be called at any time by anyone.
type Server struct {
	opts    Options
	log     *slog.Logger
	speed   float64
	models  *catalogue
	restart chan struct{} // wakes Play

	mu       sync.Mutex // guards everything below
	started  time.Time  // of the timeline; zero before it
	position int        // phases begun, less one
	always   []*active  // of the scenario
	current  []*active  // of the phase
	added    []*active  // of Apply
	lastID   int
	served   uint64
	news     []event
	requests window // of the account's quota
	tokens   window
	revoked  map[string]bool // by fingerprint
	accepted map[string]bool // by fingerprint
	stats    counts
	inflight int
	idle     *sync.Cond

	telling sync.Mutex // held while OnPhase runs, so that calls keep their order
}

type event struct {
	name string
	at   time.Time
}

// New makes a Server. It starts nothing: the scenario's clock runs from Serve, Play or the first request. A scenario that
// was built in Go is validated here too; New panics where it is wrong, for that is a mistake in the program.
func New(opts Options) *Server {
	if opts.Scenario != nil {
		if err := opts.Scenario.Validate(); err != nil {
			panic("simulator: " + err.Error())
		}
	}
	models, err := loadCatalogue(time.Now())
	if err != nil {
		panic("simulator: " + err.Error()) // the catalogue is in the binary
	}
	s := &Server{
		opts: opts, log: opts.Log, speed: opts.Speed, models: models, restart: make(chan struct{}, 1),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.speed <= 0 {
		s.speed = 1
	}
	s.idle = sync.NewCond(&s.mu)
	s.clean()
	return s
}

// clean puts back what requests, faults and keys changed. The caller holds mu, or is New.
func (s *Server) clean() {
	s.started, s.position, s.news = time.Time{}, -1, nil
	s.always, s.current, s.added = nil, nil, nil
	s.requests, s.tokens = window{}, window{}
	s.served, s.lastID = 0, 0
	s.stats = newCounts()
	s.revoked, s.accepted = map[string]bool{}, map[string]bool{}
	for key, ok := range s.opts.Keys {
		if ok {
			s.accepted[Fingerprint(key)] = true
		}
	}
	if s.opts.Scenario != nil {
		s.always = s.activate(s.opts.Scenario.Faults)
	}
}

func (s *Server) activate(faults []Fault) []*active {
	var out []*active
	for _, f := range faults {
		s.lastID++
		out = append(out, activate(s.lastID, f, s.opts.Seed))
	}
	return out
}

// Reset puts everything back to the start: faults, keys, quotas, counts and the scenario's clock.
func (s *Server) Reset() {
	s.mu.Lock()
	s.clean()
	s.mu.Unlock()
	select {
	case s.restart <- struct{}{}:
	default:
	}
}

// Apply adds a fault, over those of the scenario. The error says what is wrong with it.
func (s *Server) Apply(f Fault) error {
	_, err := s.apply(f)
	return err
}

func (s *Server) apply(f Fault) (id int, err error) {
	if err := f.Validate(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = append(s.added, s.activate([]Fault{f})...)
	return s.lastID, nil
}

// Clear takes away every fault of Apply and of the admin endpoint. Those of the scenario stay.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = nil
}

// remove takes away one fault of Apply.
func (s *Server) remove(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.added)
	s.added = slices.DeleteFunc(s.added, func(a *active) bool { return a.id == id })
	return len(s.added) < n
}

// Revoke makes the API refuse a key with 401 from now on. It takes a key, or its fingerprint as in Stats.
func (s *Server) Revoke(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[asFingerprint(key)] = true
}

// Accept makes the API take a key, new or revoked before.
func (s *Server) Accept(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.revoked, asFingerprint(key))
	if len(s.opts.Keys) > 0 {
		s.accepted[asFingerprint(key)] = true
	}
}

// Handler returns the API and, under /admin, its controls. A reset needs a server that can be hijacked; where it cannot,
// the connection is aborted.
func (s *Server) Handler() http.Handler {
	admin := s.admin()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.enter()
		defer s.leave()
		s.begin()
		if r.URL.Path == "/admin" || len(r.URL.Path) > 6 && r.URL.Path[:7] == "/admin/" {
			admin.ServeHTTP(w, r)
			return
		}
		s.observe()
		newExchange(s, w, r).run()
	})
}

func (s *Server) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inflight++
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inflight--
	s.idle.Broadcast()
}

// Serve answers on l until ctx ends, then stops in order: stalled and slow answers end at once, others have two seconds.
// It returns when every request, the timeline and the listener are gone; nil where ctx was the reason.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var timeline sync.WaitGroup
	defer timeline.Wait()
	defer cancel()
	timeline.Go(func() { s.Play(ctx) })

	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	done := make(chan error, 1)
	timeline.Go(func() { done <- server.Serve(l) })
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-done:
	}
	cancel()
	grace, release := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer release()
	if err := server.Shutdown(grace); err != nil {
		s.log.Debug("connections closed under their answers", "error", errors.Join(err, server.Close()))
	}
	s.mu.Lock()
	for s.inflight > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	if failed != nil && !errors.Is(failed, http.ErrServerClosed) {
		return fmt.Errorf("serving the simulator on %s: %w", l.Addr(), failed)
	}
	return nil
}
