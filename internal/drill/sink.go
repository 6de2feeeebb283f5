package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// sink is the whole of an exporter's other side: wherever it sends to, it is this.
type sink struct {
	*ear
	world   *world
	network *outbound.Network
	site    *site
	socket  *statsdSocket // nil but of the kind datadog
	page    func() http.Handler
	routing exporters.Routing // of the exporter, where it tells people; guarded by mu, as what follows
	ending  interface{ TellsEnds() bool }
}

// newSink opens the other side of an exporter. ca is the file of the drill's authority, socket the path of a DogStatsD one.
func newSink(ctx context.Context, w *world, e *ear, ca, socket string) (*sink, error) {
	s := &sink{ear: e, world: w}
	var err error
	s.site, err = newSite(ctx, func(name string) certificate { return w.authority.of(name, "") })
	if err != nil {
		return nil, err
	}
	s.site.add(route{"", http.HandlerFunc(s.serve)})
	s.network, err = outbound.New(outbound.Options{CAFile: ca, UserAgent: "windsock (drill)", Dial: s.dial})
	if err != nil {
		return nil, fmt.Errorf("making the way to exporter %q: %w", e.name, err)
	}
	if e.kind == "datadog" {
		s.socket = &statsdSocket{path: socket, take: s.hear}
		return s, s.socket.open()
	}
	return s, nil
}

func (s *sink) close() {
	if s.socket != nil {
		s.socket.shut()
	}
	s.network.Close()
	s.site.close()
}

// fail makes it refuse; "" makes it well.
func (s *sink) fail(how string) error {
	s.die(how)
	if how != "" {
		s.site.cut()
	}
	switch {
	case s.socket == nil:
		return nil
	case how == "":
		return s.socket.open()
	}
	s.socket.shut()
	return nil
}

func (s *sink) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.refusal() == ExporterRefuse {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	if strings.HasPrefix(network, "udp") {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("a drill has no UDP to " + address)}
	}
	return s.site.dial(ctx)
}

// serve answers as the backend of the kind does.
func (s *sink) serve(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	switch s.refusal() {
	case ExporterDeny:
		status = http.StatusUnauthorized
	case ExporterFail:
		status = http.StatusInternalServerError
	}
	if s.kind == "otel" {
		s.otlp(w, r, status)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	s.hear(body)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case s.kind == "pagerduty":
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"status":"success","message":"Event processed","dedup_key":"drill"}`)
	case s.kind == "slack" && strings.Contains(r.URL.Path, "/chat."):
		_, _ = io.WriteString(w, `{"ok":true,"channel":"C0DRILL000","ts":"`+strconv.FormatInt(time.Now().Unix(), 10)+`.000100"}`)
	case s.kind == "slack":
		_, _ = io.WriteString(w, "ok")
	default:
		_, _ = io.WriteString(w, "{}")
	}
}

// Write takes what the exporter stdout writes.
func (s *sink) Write(p []byte) (int, error) {
	switch s.refusal() {
	case "":
		s.hear(p)
		return len(p), nil
	case ExporterDeny:
		return 0, syscall.EPIPE
	}
	return 0, errors.New("the drill has nobody read this")
}

// scrape reads the page of the exporter prometheus.
func (s *sink) scrape(ctx context.Context) {
	if s.page == nil {
		return
	}
	handler := s.page()
	if handler == nil {
		return
	}
	var answer page
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://drill/metrics", http.NoBody)
	if err != nil {
		return
	}
	handler.ServeHTTP(&answer, request)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	pattern := regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
	for line := range strings.Lines(answer.text.String()) {
		labels, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if !found || !strings.HasPrefix(labels, "windsock_alert_state{") {
			continue
		}
		said := map[string]string{}
		for _, m := range pattern.FindAllStringSubmatch(labels, -1) {
			said[m[1]] = m[2]
		}
		value, _, _ = strings.Cut(value, " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			s.gauge(said, v, now)
		}
	}
}

// tellsEnds reports whether the exporter tells the end of what it told.
func (s *sink) tellsEnds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending == nil || s.ending.TellsEnds()
}

// page is an answer that stays here.
type page struct {
	header http.Header
	text   strings.Builder
}

// Header implements http.ResponseWriter.
func (p *page) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

// Write implements http.ResponseWriter.
func (p *page) Write(b []byte) (int, error) { return p.text.Write(b) }

// WriteHeader implements http.ResponseWriter.
func (p *page) WriteHeader(int) {}

// wrap makes a kind of exporter send to its sink.
func wrap(kind exporters.Kind, sinks map[string]*sink) exporters.Kind {
	build := kind.New
	kind.New = func(d checks.Decoder, env exporters.Env) (exporters.Exporter, error) {
		s := sinks[env.Name]
		if s == nil {
			return nil, fmt.Errorf("exporter %q has no other side in this drill", env.Name)
		}
		env.Network, env.Stdout, env.Getenv = s.network, s, func(string) string { return "" }
		built, err := build(d, env)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.routing, _ = built.(exporters.Routing)
		s.ending, _ = built.(interface{ TellsEnds() bool })
		s.mu.Unlock()
		return s.unmarked(built), nil
	}
	return kind
}

// takes reports whether the exporter would tell an alert.
func (s *sink) takes(a *checks.Alert) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routing == nil || s.routing.Takes(*a)
}

const longestSocket = 103 // of a path: what every system takes

// statsdSocket is a Datadog agent's socket.
type statsdSocket struct {
	path string
	take func([]byte)

	mu    sync.Mutex // guards the rest
	conn  *net.UnixConn
	going sync.WaitGroup
}

func (s *statsdSocket) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return nil
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		if len(s.path) > longestSocket {
			err = fmt.Errorf("%w: its path is longer than %d characters; name a shorter folder in TMPDIR", err, longestSocket)
		}
		return fmt.Errorf("opening the drill's DogStatsD socket: %w", err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	s.conn = conn
	s.going.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, _, err := conn.ReadFromUnix(buffer)
			if err != nil {
				return
			}
			s.take(buffer[:n])
		}
	})
	return nil
}

func (s *statsdSocket) shut() {
	s.mu.Lock()
	conn := s.conn
	s.conn = nil
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
		_ = os.Remove(s.path)
	}
	s.going.Wait()
}
