package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
)

// Detour takes everything that a Network would send to another place: that of a drill, which is in this process. A Network
// with a Detour reaches nothing else: it knows no proxy, resolves no name and opens no socket.
type Detour struct {
	// Resolve and Dial stand for the resolver and the dialer, and say what these would: a *net.DNSError where the name does not
	// resolve, a *net.OpError of dial where nobody answers. address is a host and a port as the URL has them. Both obey ctx, and
	// are safe for concurrent use.
	Resolve func(ctx context.Context, host string) error
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the authorities to trust, in place of all others.
	Roots *x509.CertPool
	// Authorization are the values of that header that may be sent; any other is left out, as are cookies and all that Mistral's
	// API does not need: what is a secret outside must not get here.
	Authorization []string
}

// harmless are the headers that a detour takes as they are.
func harmless() []string {
	return []string{"Accept", "Accept-Encoding", "Content-Type", "Traceparent", "User-Agent"}
}

// clean takes out of a header what must not be sent to the place of a drill.
func (d *Detour) clean(header http.Header) {
	for name, values := range header {
		allowed := slices.Contains(harmless(), name)
		if name == "Authorization" {
			allowed = !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(d.Authorization, v) })
		}
		if !allowed {
			delete(header, name)
		}
	}
}

// dial tells the trace of the exchange what the real dialer would.
func (d *Detour) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil || trace.DNSStart == nil {
		trace = newFlight(address, "", "").trace()
	}
	host, _, _ := net.SplitHostPort(address)
	trace.DNSStart(httptrace.DNSStartInfo{Host: host})
	err := d.Resolve(ctx, host)
	trace.DNSDone(httptrace.DNSDoneInfo{Err: err})
	if err != nil {
		return nil, err
	}
	trace.ConnectStart(network, address)
	conn, err := d.Dial(ctx, network, address)
	trace.ConnectDone(network, address, err)
	return conn, err
}

// tls is the configuration that trusts the detour's authorities alone.
func (d *Detour) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.Roots}
}
