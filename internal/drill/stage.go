package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/app"
	"github.com/windsock-monitor/windsock/checks/egress"
	promcheck "github.com/windsock-monitor/windsock/checks/prometheus"
	"github.com/windsock-monitor/windsock/checks/spend"
	"github.com/windsock-monitor/windsock/checks/statuspage"
	"github.com/windsock-monitor/windsock/internal/agent"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// stage is one agent in one world.
type stage struct {
	setting  *setting
	speed    float64
	world    *world
	api      *simulator.Server
	app      *application
	prom     *promServer
	appHosts []string
	sinks    map[string]*sink // by the exporter's name
	order    []string         // of the exporters
	seen     *observer
	agent    *agent.Agent
	problems map[string]string // of exporters, while the fault lasted

	providers, references []string // hosts

	end   context.CancelFunc
	going sync.WaitGroup
	err   error // of the agent's run, once going is over
}

// none is the section of the observer, which has no keys.
type none struct{}

func (none) Decode(any) error { return nil }

// staging is what a stage is made of.
type staging struct {
	setting *setting
	speed   float64
	mark    string // on alerts
	dir     string // of its own
}

// newStage builds a world and an agent in it. Nothing runs before start. ctx bounds the making, and the world's listeners.
func newStage(ctx context.Context, g staging, o *Options) (_ *stage, err error) {
	s, n, dir := g.setting, g.speed, g.dir
	st := &stage{setting: s, speed: n, sinks: map[string]*sink{}, seen: &observer{}, app: &application{status: map[string]int{}}, prom: newPromServer()}
	authority, err := newAuthority()
	if err != nil {
		return nil, err
	}
	st.world = newWorld(authority)
	defer func() { //nolint:contextcheck // it ends though ctx has
		if err != nil {
			st.close()
		}
	}()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, authority.pem, 0o600); err != nil {
		return nil, fmt.Errorf("writing the drill's authority: %w", err)
	}
	st.api = simulator.New(simulator.Options{
		Keys: map[string]bool{primaryKey: true, fallbackKey: true}, Seed: 1, Speed: n, RequestsPerMinute: 1 << 40,
	})
	if err := st.populate(ctx); err != nil {
		return nil, err
	}
	s.statsdIn(dir)
	for i := range s.cfg.Exporters {
		e := &s.cfg.Exporters[i]
		made, err := newSink(ctx, st.world, newEar(e.Name, e.Kind), ca, socketOf(dir, i))
		if err != nil {
			return nil, err
		}
		st.sinks[e.Name] = made
		st.order = append(st.order, e.Name)
	}
	cfg := s.at(n, g.mark)
	cfg.StateDir = filepath.Join(dir, "state")
	if err := os.Mkdir(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making a place for the drill's store: %w", err)
	}
	cfg.Network.CAFile = ca
	cfg.Exporters = append(slices.Clone(cfg.Exporters), config.Exporter{
		Name: observerKind, Kind: observerKind, Replay: true, BatchSize: 200, Timeout: soon, With: none{}, Place: func(err error) error { return err },
	})
	registry := config.Registry{Checks: s.registry.Checks}
	for _, kind := range s.registry.Exporters {
		registry.Exporters = append(registry.Exporters, wrap(kind, st.sinks))
	}
	registry.Exporters = append(registry.Exporters, st.seen.kind())
	st.agent, err = agent.New(ctx, agent.Options{
		Config: cfg, Registry: registry, Version: o.Version, Log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		Getenv: func(string) string { return "" }, Stdout: nobody{},
		Drill: &agent.Drilled{Dial: st.world.Dial, Speed: n},
	})
	return st, err
}

// nobody reads what is written to it: exporters have their own sinks.
type nobody struct{}

func (nobody) Write(p []byte) (int, error) { return len(p), nil }

// start runs the agent.
func (st *stage) start(ctx context.Context) {
	for name, s := range st.sinks {
		if s.kind == "prometheus" {
			s.page = func() http.Handler { return st.pageOf(name) }
		}
	}
	running, end := context.WithCancel(ctx)
	st.end = end
	st.going.Go(func() { st.err = st.agent.Run(running, nil) })
	st.going.Go(func() { st.api.Play(running) })
}

func (st *stage) pageOf(string) http.Handler {
	for _, handler := range st.agent.Handlers() {
		return handler
	}
	return nil
}

// close ends the agent and its world.
func (st *stage) close() {
	if st.end != nil {
		st.world.heal()
		st.end()
		st.going.Wait()
	} else if st.agent != nil {
		_ = st.agent.Close()
	}
	for _, s := range st.sinks {
		s.close()
	}
	st.world.close()
}

// populate puts all that the checks talk to into the world.
func (st *stage) populate(ctx context.Context) error {
	var errs []error
	for i := range st.setting.cfg.Providers {
		host, err := st.put(ctx, st.setting.cfg.Providers[i].BaseURL, func(prefix string) http.Handler { return http.StripPrefix(prefix, st.api.Handler()) })
		st.providers = append(st.providers, host)
		errs = append(errs, err)
	}
	for i := range st.setting.cfg.Checks {
		c := &st.setting.cfg.Checks[i]
		kind, known := st.setting.kind(c.Kind)
		if !known {
			continue
		}
		errs = append(errs, st.host(ctx, c, kind))
	}
	return errors.Join(errs...)
}

// put makes a handler answer at a URL, and below it. It returns the host.
func (st *stage) put(ctx context.Context, address string, handler func(prefix string) http.Handler) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("the address of a part of the world: %w", err)
	}
	prefix := strings.TrimRight(u.Path, "/")
	at := net.JoinHostPort(u.Hostname(), defaultPort(u.Scheme, u.Port()))
	return strings.ToLower(u.Hostname()), st.world.site(ctx, at, route{prefix, handler(prefix)})
}

// host puts what one check talks to into the world.
func (st *stage) host(ctx context.Context, c *config.Check, kind checks.Kind) error {
	if p, ok := paramsOf[app.Params](kind, c.With); ok {
		return st.hostApp(ctx, p)
	}
	if p, ok := paramsOf[promcheck.Params](kind, c.With); ok {
		st.prom.ask(p)
		_, err := st.put(ctx, p.URL, func(string) http.Handler { return st.prom })
		return err
	}
	if p, ok := paramsOf[spend.Params](kind, c.With); ok {
		return st.hostSpend(ctx, p)
	}
	if p, ok := paramsOf[statuspage.Params](kind, c.With); ok {
		_, err := st.put(ctx, cmp.Or(p.URL, p.Base), func(string) http.Handler { return http.HandlerFunc(statusPage) })
		return err
	}
	if p, ok := paramsOf[egress.Params](kind, c.With); ok {
		return st.hostEgress(ctx, p)
	}
	return nil
}

func (st *stage) hostApp(ctx context.Context, p app.Params) error {
	st.app.services = append(st.app.services, p.Service)
	host, err := st.put(ctx, p.URL, func(string) http.Handler { return st.app })
	st.appHosts = append(st.appHosts, host)
	if p.Chat == nil || err != nil {
		return err
	}
	if u, parseErr := url.Parse(p.Chat.URL); parseErr == nil && len(p.Chat.Status) > 0 {
		st.app.status[u.Path] = p.Chat.Status[0]
	}
	_, err = st.put(ctx, p.Chat.URL, func(string) http.Handler { return st.app })
	return err
}

func (st *stage) hostSpend(ctx context.Context, p spend.Params) error {
	var errs []error
	for i := range p.Sources {
		from := p.Sources[i].Prom
		if from == nil {
			continue
		}
		switch {
		case from.Tokens != nil:
			t := from.Tokens
			st.prom.counters = append(st.prom.counters, counter{t.Metric, cmp.Or(t.ModelLabel, "model"), cmp.Or(t.DirectionLabel, "direction"), t.Output[0]})
		case from.Preset == "checklist_tokens":
			st.prom.counters = append(st.prom.counters, counter{"mistral_tokens_total", "model", "direction", "output"})
		case from.Preset == "genai":
			st.prom.counters = append(st.prom.counters, counter{"gen_ai_client_token_usage", "gen_ai_request_model", "gen_ai_token_type", "output"})
		}
		_, err := st.put(ctx, from.URL, func(string) http.Handler { return st.prom })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (st *stage) hostEgress(ctx context.Context, p egress.Params) error {
	var errs []error
	for i := range p.Hosts {
		h := &p.Hosts[i]
		var handler http.Handler
		if h.HTTP != nil && h.HTTP.Status != 0 && !slices.Contains(st.providers, strings.ToLower(h.Host)) {
			handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(h.HTTP.Status) })
		}
		port := strconv.Itoa(cmp.Or(h.Port, 443))
		errs = append(errs, st.world.site(ctx, net.JoinHostPort(h.Host, port), route{"/", handler}))
	}
	if p.Reference != "" {
		host, _, _ := net.SplitHostPort(p.Reference)
		st.references = append(st.references, strings.ToLower(host))
		errs = append(errs, st.world.site(ctx, p.Reference, route{}))
	}
	return errors.Join(errs...)
}

// hosts are the hosts that a fault names.
func (st *stage) hosts(names []string) []string {
	var all []string
	for _, name := range names {
		switch name {
		case HostProvider:
			all = append(all, st.providers...)
		case HostReference:
			all = append(all, st.references...)
		case HostAll:
			all = append(all, st.world.hosts()...)
		default:
			all = append(all, name)
		}
	}
	return all
}

// natural is a time of the drill in natural time.
func (st *stage) natural(d time.Duration) time.Duration { return time.Duration(float64(d) * st.speed) }

// compressed is a natural time in the drill.
func (st *stage) compressed(d time.Duration) time.Duration {
	return time.Duration(float64(d) / st.speed)
}

// lag is by how much a timer came too late at the worst: what a busy machine does to everybody.
type lag struct {
	end   chan struct{}
	going sync.WaitGroup

	mu   sync.Mutex // guards most
	most time.Duration
}

func newLag() *lag {
	l := &lag{end: make(chan struct{})}
	l.going.Go(func() {
		const every = 10 * time.Millisecond
		tick := time.NewTicker(every)
		defer tick.Stop()
		before := time.Now()
		for {
			select {
			case <-l.end:
				return
			case <-tick.C:
			}
			now := time.Now()
			l.mu.Lock()
			l.most = max(l.most, now.Sub(before)-every)
			l.mu.Unlock()
			before = now
		}
	})
	return l
}

func (l *lag) worst() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
}

func (l *lag) stop() {
	close(l.end)
	l.going.Wait()
}
