package plugintest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// blackHole takes connections and never answers. Its methods are safe for concurrent use.
type blackHole struct {
	listener net.Listener
	done     sync.WaitGroup
	mu       sync.Mutex // guards what follows
	open     map[net.Conn]bool
	taken    int
	news     chan struct{} // closed and replaced when a connection comes or goes
}

const loopback = "127.0.0.1:0"

func newBlackHole(ctx context.Context) (*blackHole, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", loopback)
	if err != nil {
		return nil, fmt.Errorf("making a black hole: %w", err)
	}
	b := &blackHole{listener: listener, open: map[net.Conn]bool{}, news: make(chan struct{})}
	b.done.Go(b.serve)
	return b, nil
}

func (b *blackHole) addr() string { return b.listener.Addr().String() }

func (b *blackHole) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.change(conn, true)
		b.done.Go(func() {
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
			b.change(conn, false)
		})
	}
}

func (b *blackHole) change(conn net.Conn, here bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if here {
		b.open[conn] = true
		b.taken++
	} else {
		delete(b.open, conn)
	}
	close(b.news)
	b.news = make(chan struct{})
}

func (b *blackHole) state() (taken, open int, news <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken, len(b.open), b.news
}

// reached waits until more than before connections were taken, for at most a time.
func (b *blackHole) reached(ctx context.Context, before int, most time.Duration) bool {
	return b.wait(ctx, most, func(taken, _ int) bool { return taken > before })
}

// left waits until no connection is open.
func (b *blackHole) left(ctx context.Context, most time.Duration) bool {
	return b.wait(ctx, most, func(_, open int) bool { return open == 0 })
}

func (b *blackHole) wait(ctx context.Context, most time.Duration, is func(taken, open int) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		taken, open, news := b.state()
		if is(taken, open) {
			return true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return false
		}
	}
}

func (b *blackHole) close() {
	_ = b.listener.Close()
	b.mu.Lock()
	for conn := range b.open {
		_ = conn.Close()
	}
	b.mu.Unlock()
	b.done.Wait()
}

// targets are what placeholders name, beside black holes.
type targets struct {
	refusing net.Conn // its own end's port is taken and nobody listens there
	holder   net.Listener
	web      *http.Server
	webAddr  string
	done     sync.WaitGroup
}

func newTargets(ctx context.Context) (*targets, error) {
	t := &targets{}
	holder, err := new(net.ListenConfig).Listen(ctx, "tcp", loopback)
	if err != nil {
		return nil, fmt.Errorf("making a target that refuses: %w", err)
	}
	t.holder = holder
	t.refusing, err = new(net.Dialer).DialContext(ctx, "tcp", holder.Addr().String())
	if err != nil {
		_ = holder.Close()
		return nil, fmt.Errorf("making a target that refuses: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", loopback)
	if err != nil {
		t.close()
		return nil, fmt.Errorf("making a web server: %w", err)
	}
	t.webAddr = listener.Addr().String()
	t.web = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}\n")
	})}
	t.done.Go(func() { _ = t.web.Serve(listener) })
	return t, nil
}

func (t *targets) unreachable() string { return t.refusing.LocalAddr().String() }

func (t *targets) close() {
	_ = t.refusing.Close()
	_ = t.holder.Close()
	if t.web != nil {
		_ = t.web.Close()
	}
	t.done.Wait()
}
