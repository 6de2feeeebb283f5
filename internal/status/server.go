package status

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Source answers for the running agent. Its methods are safe for concurrent use and quick.
type Source interface {
	// Health is the whole state.
	Health(ctx context.Context) Health
	// Alive reports whether the scheduler has ticked lately.
	Alive() bool
	// Handlers are the exporters' own pages, by path.
	Handlers() map[string]http.Handler
}

// Server serves the status pages.
type Server struct {
	source Source
	log    *slog.Logger
	retry  time.Duration

	mu      sync.Mutex // guards the rest
	address string
	problem error
}

// New makes a server; Run starts it.
func New(address string, source Source, log *slog.Logger) *Server {
	return &Server{address: address, source: source, log: log, retry: 5 * time.Second}
}

// RetryEvery sets how long to wait before a port that was taken is tried again. Call it before Run.
func (s *Server) RetryEvery(wait time.Duration) *Server {
	s.retry = wait
	return s
}

// Problem says why nothing is being served, "" where all is well.
func (s *Server) Problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem == nil {
		return ""
	}
	return s.problem.Error()
}

// WayOut says what to do about the problem, "" where all is well.
func (s *Server) WayOut() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return wayOut(s.problem)
}

// Address is where the server listens: the port that was found where the configuration said 0.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// wayOut is what to do about an address that cannot be listened on.
func wayOut(err error) string {
	const otherwise = "change `listen` and restart; windsock status asks the control socket meanwhile"
	switch {
	case err == nil:
		return ""
	case errors.Is(err, syscall.EADDRINUSE):
		return "`ss -ltnp` shows who has the port: free it, or " + otherwise
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 are not for the agent's user: " + otherwise
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "`ip address` shows the addresses that this host has: " + otherwise
	}
	return otherwise
}

// Run serves until ctx ends. A port that is taken is said, and tried again; it never stops the agent.
func (s *Server) Run(ctx context.Context) {
	for ctx.Err() == nil {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Address())
		if err == nil {
			s.settle(listener.Addr().String(), nil)
			s.serve(ctx, listener)
			return
		}
		if s.Problem() == "" && ctx.Err() == nil {
			s.log.Warn("status listener not open, trying again", "address", s.Address(), "error", err, "hint", wayOut(err))
		}
		s.settle(s.Address(), err)
		select {
		case <-ctx.Done():
		case <-time.After(s.retry):
		}
	}
}

func (s *Server) settle(address string, problem error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address, s.problem = address, problem
}

func (s *Server) serve(ctx context.Context, listener net.Listener) {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.log.Info("status listener open", "address", s.Address())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := server.Shutdown(bounded); err != nil {
			_ = server.Close()
		}
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("status listener ended", "error", err)
	}
	<-stopped
}

// Handler is the whole tree of pages, behind the check of the Host header.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /health/{provider}", s.provider)
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /", s.exporterPage)
	return localHost(mux, s.Address)
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	if !s.source.Alive() {
		http.Error(w, "the scheduler does not tick", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if !s.source.Health(r.Context()).Ready {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	health := s.source.Health(r.Context())
	answer(w, health.Status, health)
}

func (s *Server) provider(w http.ResponseWriter, r *http.Request) {
	service, ok := s.source.Health(r.Context()).Services[r.PathValue("provider")]
	if !ok {
		http.Error(w, "no such provider", http.StatusNotFound)
		return
	}
	answer(w, service.Status, service)
}

// Owns reports whether a path is one of the agent's own pages, which no exporter's can replace.
func Owns(path string) bool {
	return slices.Contains([]string{"/", "/livez", "/readyz", "/health"}, path) || strings.HasPrefix(path, "/health/")
}

// exporterPage looks the page up on each request: a reload changes them.
func (s *Server) exporterPage(w http.ResponseWriter, r *http.Request) {
	if page, ok := s.source.Handlers()[r.URL.Path]; ok {
		page.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("windsock\n\n/livez\n/readyz\n/health\n/health/<provider>\n"))
	for path := range s.source.Handlers() {
		_, _ = w.Write([]byte(path + "\n"))
	}
}

func answer(w http.ResponseWriter, status Verdict, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if status == Unhealthy {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(body)
}

// localHost refuses requests whose Host is neither an address nor localhost nor the name that was configured: a page in
// a browser cannot reach the agent by rebinding its own name.
func localHost(next http.Handler, address func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.Trim(host, "[]")
		configured, _, _ := net.SplitHostPort(address())
		_, err := netip.ParseAddr(host)
		if err != nil && !strings.EqualFold(host, "localhost") && !strings.EqualFold(host, configured) {
			http.Error(w, "unknown host", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
