// Package outbound is the agent's only way out: one HTTP client and one dialer for checks and exporters. It follows no
// redirect, bounds every body after decompression, reads the proxy from the configuration and never from the process,
// refuses link-local and metadata addresses after resolution, and times every phase.
package outbound

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Options is how to reach the outside. The zero value is direct, with the system's resolver and roots.
type Options struct {
	HTTPProxy, HTTPSProxy, NoProxy string         // as the environment variables of these names, read per configuration
	CAFile                         string         // PEM, added to the system's roots
	AllowAddresses                 []netip.Prefix // exceptions from the address guard
	UserAgent                      string         // "windsock/1.2.3 (synthetic)"; "" is "windsock (synthetic)"
	Resolver                       *net.Resolver  // nil is the system's
	Detour                         *Detour        // where everything goes in place of the network; nil: to the network
	// Dial, where it is not nil, makes every connection in the place of the network and its names: the world of a drill. It is
	// given the address as it was asked for, and tells the httptrace of ctx what it does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Request is one HTTP exchange.
type Request struct {
	Method, URL string
	Header      http.Header
	Body        []byte
	MaxBody     int64 // bound on the decompressed answer; 0 is 4 MiB
	Reuse       bool  // keep the connection for the next request; the default is a fresh one, so that every phase is seen
	TLS         *TLS  // nil is the network's own; anything else makes the connection a fresh one
}

// TLS is how the TLS of one exchange differs from the network's. Files are read for each exchange, so that a certificate
// that was renewed needs no restart; one that cannot be used is a Failure of cause config.
type TLS struct {
	CAFile     string // PEM, added to the roots
	ServerName string // what the certificate must say; "" is the URL's host
	CertFile   string // PEM, our own certificate and its chain; KeyFile goes with it
	KeyFile    string // PEM
}

// Timings is where the time of an exchange went. Zero durations are phases that did not happen (a reused connection).
type Timings struct {
	Start                                   time.Time
	Resolve, Connect, TLS, FirstByte, Total time.Duration // Total is up to the end of the body, or to the failure
	Reused                                  bool
	RemoteAddr                              string
	Proxied                                 bool
}

// Failure is why there was no complete answer, found from the stage that was reached (httptrace) and the error.
// Its text never holds a query string, user info or a secret.
type Failure struct { //nolint:errname // it is the word of the contract, and more than an error
	Cause    checks.Cause // dns, connect, timeout_connect, proxy, tls, timeout, response_too_large, malformed, config, internal
	Stage    string       // "dns", "connect", "proxy", "tls", "send", "headers", "body"
	Reason   string       // bounded word: "nxdomain", "servfail", "refused", "reset", "unreachable", "expired", "wrong_host", "unknown_ca", "guard", "no_descriptors"…
	Deadline bool         // the deadline passed
	Err      error        // sanitised
	Timings  Timings      // up to the failure; zero where nothing was tried
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Exchanger makes HTTP exchanges; *Network implements it.
type Exchanger interface {
	// Open sends the request and returns when the answer's header is there. The caller reads and closes the body, whose
	// errors are *Failure too. timings is complete after Close. err is a *Failure.
	Open(ctx context.Context, req Request) (*Response, error)
}

// Response is an answer whose body is being read.
type Response struct {
	Status int
	Header http.Header
	Body   BodyReader // decompressed and bounded
	Proto  string
}

// BodyReader reads a bounded body. Timings may be called at any time, and is final after Close.
type BodyReader interface {
	Read(p []byte) (int, error)
	Close() error
	Timings() Timings
}
