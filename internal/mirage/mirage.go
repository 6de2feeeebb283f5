// Package mirage is what the agent's probes find in the place of the network while a drill goes on: a provider, an
// application and whatever else they ask for, made in this process. It has no port and no address: each connection is a pair
// of sockets that nobody else can have.
//
// It may not reach the network, read a secret of the configuration, or be given one.
package mirage

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// Keys are what a drill's provider accepts. They are made for one World and mean nothing outside of it.
type Keys struct{ Primary, Fallback string }

// World is the far end of every connection of a drill. Its methods are safe for concurrent use.
type World struct {
	providers []string // hosts, without ports
	keys      Keys
	api       *simulator.Server
	papers    *papers
	server    *http.Server
	arrived   chan net.Conn
	ended     chan struct{}
	working   sync.WaitGroup

	mu     sync.Mutex // guards the rest
	faults []Fault
	closed bool
	conns  map[net.Conn]bool // that have not said yet whether they speak TLS
}

// New makes a world in which all is well. hosts are those that a provider answers at; every other is an application. Close
// ends it.
func New(hosts []string, log *slog.Logger) (*World, error) {
	made, err := newPapers(time.Now())
	if err != nil {
		return nil, fmt.Errorf("making the certificates of a drill: %w", err)
	}
	w := &World{
		providers: hosts, keys: Keys{"drill-" + rand.Text(), "drill-" + rand.Text()}, papers: made, arrived: make(chan net.Conn),
		ended: make(chan struct{}), conns: map[net.Conn]bool{},
	}
	w.api = simulator.New(simulator.Options{
		Keys: map[string]bool{w.keys.Primary: true, w.keys.Fallback: true}, Log: log, RequestsPerMinute: 1 << 30,
	})
	w.server = &http.Server{
		Handler: w, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	w.working.Go(func() { _ = w.server.Serve(listener{w}) })
	return w, nil
}

// Keys are the keys that the provider accepts.
func (w *World) Keys() Keys { return w.keys }

// Detour leads a network here.
func (w *World) Detour() *outbound.Detour {
	return &outbound.Detour{
		Resolve: w.resolve, Dial: w.dial, Roots: w.papers.roots,
		Authorization: []string{"Bearer " + w.keys.Primary, "Bearer " + w.keys.Fallback},
	}
}

// Break has the faults happen from now on, in place of those before; none: all is well.
func (w *World) Break(faults []Fault) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.api.Clear()
	w.faults = slices.Clone(faults)
	for i := range faults {
		if faults[i].API == nil {
			continue
		}
		fault := faults[i].API.Fault
		switch fault.Key {
		case "primary":
			fault.Key = w.keys.Primary
		case "fallback":
			fault.Key = w.keys.Fallback
		}
		if err := w.api.Apply(fault); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every connection and waits for what answers them.
func (w *World) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	for conn := range w.conns {
		_ = conn.Close()
	}
	w.mu.Unlock()
	close(w.ended)
	err := w.server.Close()
	w.working.Wait()
	return err
}

// ServeHTTP answers as the provider, where it is asked by one of its names, else as an application.
func (w *World) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if w.provider(hostOf(r.Host)) {
		w.api.Handler().ServeHTTP(out, r)
		return
	}
	w.application(out, r)
}

func (w *World) provider(host string) bool { return slices.Contains(w.providers, host) }

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// resolve stands for the resolver.
func (w *World) resolve(ctx context.Context, host string) error {
	fault := w.fault(func(f *Fault) bool { return f.DNS != nil && w.named(f.DNS.Hosts, host) })
	if fault == nil {
		return nil
	}
	failed := &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	switch fault.DNS.Answer {
	case "servfail":
		failed = &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
	case "timeout":
		<-ctx.Done()
		failed = &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
	}
	return failed
}

// dial stands for the dialer.
func (w *World) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host := hostOf(address)
	how := ""
	if f := w.fault(func(f *Fault) bool { return f.Connect != nil && w.named(f.Connect.Hosts, host) }); f != nil {
		how = f.Connect.how()
	}
	if w.fault(func(f *Fault) bool { return f.App != nil && f.App.Refuse }) != nil && !w.provider(host) {
		how = howRefused
	}
	refused := func(err error) error { return &net.OpError{Op: "dial", Net: network, Err: err} }
	switch {
	case how == howTimeout:
		<-ctx.Done()
		return nil, refused(os.ErrDeadlineExceeded)
	case how == howUnreachable:
		return nil, refused(os.NewSyscallError("connect", unix.ENETUNREACH))
	case how == howRefused, network != "tcp" && network != "tcp4" && network != "tcp6":
		return nil, refused(os.NewSyscallError("connect", unix.ECONNREFUSED))
	}
	near, far, err := pair()
	if err != nil {
		return nil, refused(err)
	}
	if !w.receive(far, host) {
		_ = near.Close()
		return nil, refused(os.NewSyscallError("connect", unix.ECONNREFUSED))
	}
	return near, nil
}

// pair is both ends of a new connection.
func pair() (near, far net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	var ends [2]net.Conn
	var errs [2]error
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "drill")
		ends[i], errs[i] = net.FileConn(file)
		_ = file.Close() // the connection has a descriptor of its own
	}
	if err := errors.Join(errs[:]...); err != nil {
		for _, end := range ends {
			if end != nil {
				_ = end.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1], nil
}

// receive takes the far end of a connection; false where the world is over.
func (w *World) receive(conn net.Conn, host string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = conn.Close()
		return false
	}
	w.conns[conn] = true
	w.working.Go(func() { w.open(conn, host) })
	return true
}

// open finds out whether the other side speaks TLS, and hands the connection to the server.
func (w *World) open(conn net.Conn, host string) {
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	first := &peeked{Conn: conn}
	secure, err := first.peek()
	_ = conn.SetReadDeadline(time.Time{})
	w.mu.Lock()
	delete(w.conns, conn)
	closed := w.closed
	w.mu.Unlock()
	if err != nil || closed {
		_ = conn.Close()
		return
	}
	var ready net.Conn = first
	if secure {
		ready = tls.Server(first, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return w.paper(hello, host) },
		})
	}
	select {
	case w.arrived <- ready:
	case <-w.ended:
		_ = conn.Close()
	}
}

// paper is the certificate that is shown.
func (w *World) paper(hello *tls.ClientHelloInfo, host string) (*tls.Certificate, error) {
	name := hello.ServerName
	if name == "" {
		name = host
	}
	fault := w.fault(func(f *Fault) bool { return f.TLS != nil && w.named(f.TLS.Hosts, name) })
	if fault == nil {
		return w.papers.of(name, "")
	}
	return w.papers.of(name, fault.TLS.how())
}

// peeked is a connection whose first byte was looked at.
type peeked struct {
	net.Conn

	first []byte
}

// peek reports whether the first byte begins a TLS handshake.
func (p *peeked) peek() (bool, error) {
	one := make([]byte, 1)
	n, err := p.Conn.Read(one)
	p.first = one[:n]
	const handshake = 0x16 // RFC 8446, 5.1
	return n == 1 && one[0] == handshake, err
}

// Read implements net.Conn.
func (p *peeked) Read(b []byte) (int, error) {
	if len(p.first) > 0 && len(b) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// listener is where the server gets its connections from.
type listener struct{ w *World }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.w.arrived:
		return conn, nil
	case <-l.w.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l listener) Close() error { return nil }

// Addr implements net.Listener.
func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: "drill", Net: "unix"} }
