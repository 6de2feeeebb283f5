package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http/httpproxy"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	defaultUserAgent = "windsock (synthetic)"
	// maxHeaderBytes bounds the header of an answer. Mistral's are about 2 KiB; net/http would read 10 MiB.
	maxHeaderBytes = 64 << 10
	// dialLimit bounds a dial whose caller set no deadline.
	dialLimit = time.Minute
)

// Network is a way out, built of one configuration. It is safe for concurrent use.
type Network struct {
	userAgent string
	resolver  *net.Resolver
	instead   func(ctx context.Context, network, address string) (net.Conn, error) // of the dialer; nil: the network itself
	guard     guard
	proxy     func(*url.URL) (*url.URL, error)
	tls       *tls.Config
	detour    *Detour // nil: to the network
	pooled    *http.Transport
	spent     sync.Pool // of *http.Transport: each has made one exchange, holds no connection, and can make another
}

// New checks the options and reads the CA file. It opens no connection.
func New(o Options) (*Network, error) {
	roots, err := withRoots(nil, o.CAFile)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"http_proxy": o.HTTPProxy, "https_proxy": o.HTTPSProxy} {
		if err := validProxy(value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, prefix := range o.AllowAddresses {
		if !prefix.IsValid() {
			return nil, errors.New("allow_addresses: an invalid prefix, want for example 169.254.10.0/24")
		}
	}
	if o.UserAgent == "" {
		o.UserAgent = defaultUserAgent
	}
	if !httpguts.ValidHeaderFieldValue(o.UserAgent) {
		return nil, errors.New("user agent: holds control characters")
	}
	proxies := httpproxy.Config{HTTPProxy: o.HTTPProxy, HTTPSProxy: o.HTTPSProxy, NoProxy: o.NoProxy}
	n := &Network{
		userAgent: o.UserAgent,
		resolver:  o.Resolver,
		instead:   o.Dial,
		guard:     guard{allow: unmapped(o.AllowAddresses)},
		proxy:     proxies.ProxyFunc(),
		tls:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
	}
	if n.detour = o.Detour; n.detour != nil {
		n.tls, n.proxy = n.detour.tls(), func(*url.URL) (*url.URL, error) { return nil, nil } //nolint:nilnil // the way is direct
	}
	n.pooled = n.transport()
	return n, nil
}

// ErrCAFile is in the error of New where Options.CAFile is at fault.
var ErrCAFile = errors.New("CA file")

// validProxy accepts what the environment variables accept: a URL, or host:port. Its error never shows the value, which
// may hold a password.
func validProxy(value string) error {
	if value == "" {
		return nil
	}
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" {
		return errors.New("not a proxy address, want for example http://proxy.example:3128")
	}
	if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return fmt.Errorf("a proxy of scheme %q, want http, https, socks5 or socks5h", u.Scheme)
	}
	return nil
}

func unmapped(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}

// transport makes a transport of its own. Bodies stay compressed: Open inflates them within bounds.
func (n *Network) transport() *http.Transport {
	return &http.Transport{
		Proxy:       func(r *http.Request) (*url.URL, error) { return n.proxy(r.URL) },
		DialContext: n.dialOnce,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode != http.StatusOK {
				return &proxyError{status: answer.StatusCode}
			}
			return nil
		},
		TLSClientConfig:        n.TLSConfig(),
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        90 * time.Second,
	}
}

// errRepeated is what an attempt too many ends with.
var errRepeated = errors.New("the connection ended before an answer, and no second attempt is made")

// dialledKey is the context key of an exchange's *atomic.Bool: it has dialled.
type dialledKey struct{}

// withOneDial bounds an exchange to one dial. Without it net/http starts again, without a pause and until the deadline, as
// often as an HTTP/2 server takes back a connection on which a request that could be repeated was under way.
func withOneDial(ctx context.Context) context.Context {
	return context.WithValue(ctx, dialledKey{}, new(atomic.Bool))
}

// dialOnce is the dialer of the transports. The context is that of the exchange, without its end.
func (n *Network) dialOnce(ctx context.Context, network, address string) (net.Conn, error) {
	if dialled, ok := ctx.Value(dialledKey{}).(*atomic.Bool); ok && dialled.Swap(true) {
		return nil, errRepeated
	}
	return n.connect(ctx, n.dialer(n.guard.control), network, address)
}

func (n *Network) connect(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	switch {
	case n.detour != nil:
		return n.detour.dial(ctx, network, address)
	case n.instead != nil:
		return n.instead(ctx, network, address)
	}
	return d.DialContext(ctx, network, address)
}

// single is a transport that nobody else uses: its connections and dials are those of one exchange.
func (n *Network) single() *http.Transport {
	if t, ok := n.spent.Get().(*http.Transport); ok {
		return t
	}
	t := n.transport()
	t.DisableKeepAlives = true
	t.WriteBufferSize, t.ReadBufferSize = 1<<10, 2<<10 // a short question, an answer that is read at once
	return t
}

func (n *Network) dialer(control controlFunc) *net.Dialer {
	return &net.Dialer{Resolver: n.resolver, ControlContext: control, Timeout: dialLimit}
}

// DialContext connects past the address guard, directly: it knows no proxy. Its error is a *Failure.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return n.dial(ctx, n.dialer(n.guard.control), network, address)
}

// DialUnguarded connects without the address guard, for hosts that must not be reachable. Its error is a *Failure.
func (n *Network) DialUnguarded(ctx context.Context, network, address string) (net.Conn, error) {
	return n.dial(ctx, n.dialer(nil), network, address)
}

func (n *Network) dial(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	f := newFlight(address, "", "")
	conn, err := n.connect(httptrace.WithClientTrace(ctx, f.trace()), d, network, address)
	if err != nil {
		return nil, f.fail(ctx, err)
	}
	return conn, nil
}

// Client is for exporters: pooled connections, no redirects (the 3xx is the answer), guard, proxy, CA and User-Agent as
// configured, no time limit of its own. Its errors are *url.Error, which print the URL: wrap them with Clean. Bodies are
// not bounded.
func (n *Network) Client() *http.Client {
	return &http.Client{
		Transport:     agentTripper{n},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// agentTripper puts the User-Agent on requests that have none, and bounds each to one dial.
type agentTripper struct{ network *Network }

func (a agentTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := a.network.guardProxied(r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(withOneDial(r.Context()))
	setDefault(r.Header, "User-Agent", a.network.userAgent)
	if a.network.detour != nil {
		a.network.detour.clean(r.Header)
	}
	return a.network.pooled.RoundTrip(r)
}

// CloseIdleConnections is called by http.Client.CloseIdleConnections.
func (a agentTripper) CloseIdleConnections() { a.network.pooled.CloseIdleConnections() }

// guardProxied refuses the guarded hosts that a proxy would resolve for us.
func (n *Network) guardProxied(u *url.URL) error {
	via, err := n.proxy(u)
	if err != nil || via == nil || !n.guard.refusesHost(u.Hostname()) {
		return nil //nolint:nilerr // a proxy that cannot be used is the transport's to report
	}
	return errGuarded
}

// TLSConfig is a copy of the configuration for TLS: at least version 1.2, the system's roots and the CA file.
func (n *Network) TLSConfig() *tls.Config { return n.tls.Clone() }

// ProxyFor returns the proxy for a URL by the configuration alone, nil where the way is direct. As with the environment
// variables, localhost and loopback addresses are always direct.
func (n *Network) ProxyFor(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	return n.proxy(u)
}

// Close closes the idle connections. Exchanges in flight go on.
func (n *Network) Close() { n.pooled.CloseIdleConnections() }

// proxyError is a CONNECT that the proxy did not answer with 200.
type proxyError struct{ status int }

func (p *proxyError) Error() string {
	return fmt.Sprintf("the proxy answered CONNECT with %d %s", p.status, http.StatusText(p.status))
}

func (p *proxyError) reason() string {
	if p.status == http.StatusProxyAuthRequired {
		return "proxy_auth"
	}
	return fmt.Sprintf("http_%d", p.status)
}

// misuse is a request that cannot be sent.
func misuse(reason, text string) *Failure {
	return &Failure{Cause: checks.CauseConfig, Stage: stageSend, Reason: reason, Err: errors.New(text)}
}
