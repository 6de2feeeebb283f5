package drill

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// route is a handler below a path; "" is all of a host.
type route struct {
	prefix  string
	handler http.Handler
}

// site is one host and port: a listener on the loopback interface that speaks HTTP/1 and HTTP/2, in TLS where the other side
// begins with that.
type site struct {
	listener net.Listener
	server   *http.Server
	config   *tls.Config
	ready    chan net.Conn
	end      chan struct{}
	going    sync.WaitGroup

	mu     sync.Mutex // guards the rest
	routes []route
	conns  map[net.Conn]struct{}
}

func newSite(ctx context.Context, own func(name string) certificate) (*site, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a part of the drill's world: %w", err)
	}
	s := &site{listener: listener, ready: make(chan net.Conn), end: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	s.config = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return own(hello.ServerName).get() },
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: time.Minute, Protocols: protocols, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	s.going.Go(s.accept)
	s.going.Go(func() { _ = s.server.Serve(sniffed{s}) })
	return s, nil
}

// add puts a handler below a path; of one path the first counts.
func (s *site) add(r route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.routes {
		if other.prefix == r.prefix {
			return
		}
	}
	s.routes = append(s.routes, r)
}

// ServeHTTP implements http.Handler: the longest path that fits.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	var best *route
	for i := range s.routes {
		this := &s.routes[i]
		if strings.HasPrefix(r.URL.Path, this.prefix) && this.handler != nil && (best == nil || len(this.prefix) > len(best.prefix)) {
			best = this
		}
	}
	s.mu.Unlock()
	if best == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	best.handler.ServeHTTP(w, r)
}

func (s *site) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", s.listener.Addr().String()) //nolint:wrapcheck // as any dialer
}

// accept tells TLS from plain text by the first byte. A connection that says nothing is kept until it ends.
func (s *site) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		s.going.Go(func() {
			peeked := &peeking{Conn: conn, from: bufio.NewReader(conn), gone: func() { s.forget(conn) }}
			first, err := peeked.from.Peek(1)
			if err != nil {
				_ = peeked.Close()
				return
			}
			var ready net.Conn = peeked
			if first[0] == 0x16 { // a TLS handshake
				ready = tls.Server(peeked, s.config)
			}
			select {
			case s.ready <- ready:
			case <-s.end:
				_ = peeked.Close()
			}
		})
	}
}

func (s *site) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// cut ends the connections that are open, as a network does that stops.
func (s *site) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

func (s *site) close() {
	close(s.end)
	_ = s.listener.Close()
	s.cut()
	_ = s.server.Close()
	s.going.Wait()
}

// sniffed is the site as a listener of connections whose protocol is known.
type sniffed struct{ s *site }

// Accept implements net.Listener.
func (l sniffed) Accept() (net.Conn, error) {
	select {
	case conn := <-l.s.ready:
		return conn, nil
	case <-l.s.end:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l sniffed) Close() error { return nil }

// Addr implements net.Listener.
func (l sniffed) Addr() net.Addr { return l.s.listener.Addr() }

// peeking is a connection of which the first byte was looked at.
type peeking struct {
	net.Conn
	from *bufio.Reader
	once sync.Once
	gone func()
}

func (p *peeking) Read(b []byte) (int, error) { return p.from.Read(b) }

func (p *peeking) Close() error {
	p.once.Do(p.gone)
	return p.Conn.Close()
}
