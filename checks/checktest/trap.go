package checktest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// buffer is a bytes.Buffer that a logger may share with the test.
type buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var errTrap = errors.New("this is for runs only")

// trap stands in for everything that the agent lends a check, and remembers who touched it.
type trap struct{ calls []string }

func (t *trap) touch(what string) error {
	t.calls = append(t.calls, what)
	return errTrap
}

func (t *trap) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, t.touch("DialContext")
}

func (t *trap) DialUnguarded(context.Context, string, string) (net.Conn, error) {
	return nil, t.touch("DialUnguarded")
}

func (t *trap) Open(context.Context, outbound.Request) (*outbound.Response, error) {
	return nil, t.touch("Open")
}
func (t *trap) ProxyFor(string) (*url.URL, error)    { return nil, t.touch("ProxyFor") }
func (t *trap) TLSConfig() *tls.Config               { return &tls.Config{MinVersion: tls.VersionTLS12} }
func (t *trap) Load(context.Context) ([]byte, error) { return nil, t.touch("Memory.Load") }
func (t *trap) Save(context.Context, []byte) error   { return t.touch("Memory.Save") }
func (t *trap) Spent(context.Context, time.Time, time.Time) (checks.PicoUSD, error) {
	return 0, t.touch("Ledger.Spent")
}

func (t *trap) Since(context.Context, string, time.Time) ([]checks.Sample, error) {
	return nil, t.touch("History.Since")
}

func (t *trap) Permits(string) error { return nil }

func (t *trap) Spawn(context.Context, checks.Program) (checks.Ended, error) {
	return checks.Ended{}, t.touch("Spawn")
}
