package drill

import (
	"context"
	"net"
	"os"
	"path/filepath"
)

// World is a world with one host, for tests of what a probe finds in it.
type World struct{ w *world }

// NewWorld makes one whose host answers at the address, and leaves the file of its authority in dir.
func NewWorld(ctx context.Context, address, dir string) (World, string, error) {
	a, err := newAuthority()
	if err != nil {
		return World{}, "", err
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, a.pem, 0o600); err != nil {
		return World{}, "", err
	}
	w := newWorld(a)
	return World{w}, ca, w.site(ctx, address, route{})
}

// Dial connects in it.
func (w World) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return w.w.Dial(ctx, network, address)
}

// Break makes the host troubled.
func (w World) Break(host, dns, connect, tls string) {
	w.w.trouble([]string{host}, func(t *trouble) { *t = trouble{dns, connect, tls} })
}

// Close ends it.
func (w World) Close() { w.w.close() }

// Says reports whether a text of the team's own tells of an alert.
func Says(body, rule, summary string) bool {
	return (&said{rule, []string{summary}}).in(body)
}
