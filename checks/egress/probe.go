package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	maxAddresses = 8        // tried of one name
	maxHeader    = 64 << 10 // bytes of an HTTP answer that are read
)

// probe walks the way to one host: dns, connect (or proxy), tls, http. The first step that fails ends it.
func (e *Egress) probe(ctx context.Context, h Host) finding {
	w := &walk{Egress: e, host: h, finding: finding{name: h.label()}}
	w.problem = w.run(ctx)
	if w.conn != nil {
		_ = w.conn.Close()
	}
	if w.problem == nil || w.problem.status == checks.Failed {
		w.measure("probe.egress.reachable", bit(w.problem == nil), "")
	}
	return w.finding
}

// walk is one probe on its way.
type walk struct {
	*Egress
	host Host
	conn net.Conn
	finding
}

func (w *walk) run(ctx context.Context) *problem {
	proxy, err := w.net.ProxyFor(w.host.url())
	if err != nil {
		return w.stop("proxy", unknown(checks.CauseConfig, "the proxy's address cannot be read"))
	}
	answers, p := w.names(ctx, proxy)
	if p != nil {
		return p
	}
	if proxy != nil {
		p = w.tunnel(ctx, proxy)
	} else {
		p = w.dial(ctx, answers)
	}
	if p != nil {
		return p
	}
	raw := w.conn
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	if w.host.usesTLS() {
		if p := w.handshake(ctx); p != nil {
			return p
		}
	}
	if w.host.HTTP != nil {
		return w.get(ctx)
	}
	return nil
}

func (w *walk) went(step, format string, args ...any) {
	w.steps = append(w.steps, checks.Step{Name: step, OK: true, Detail: w.name + ": " + fmt.Sprintf(format, args...)})
}

func (w *walk) stop(step string, p *problem) *problem {
	w.steps = append(w.steps, checks.Step{Name: step, Detail: w.name + ": " + p.text})
	return p
}

func (w *walk) phase(name checks.PhaseName, start time.Time) time.Duration {
	took := time.Since(start)
	w.phases = append(w.phases, checks.Phase{Name: name, Took: took})
	return took
}

func (w *walk) measure(name string, value float64, unit string) {
	w.measurements = append(w.measurements, checks.Measurement{Name: name, Value: value, Unit: unit, Attrs: map[string]string{"host": w.name}})
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// names resolves the host. Behind a proxy that is the proxy's business, unless the configuration asks about the answers.
func (w *walk) names(ctx context.Context, proxy *url.URL) ([]netip.Addr, *problem) {
	if addr, err := netip.ParseAddr(w.host.Host); err == nil {
		answers := []netip.Addr{addr.Unmap()}
		if p := unexpected(answers, w.host.ExpectAddresses); p != nil {
			return nil, w.stop("dns", p)
		}
		return answers, nil
	}
	if proxy != nil && !w.host.asksDNS() {
		w.went("dns", "left to the proxy")
		return nil, nil
	}
	start := time.Now()
	answers, p := w.resolve(ctx, w.host)
	took := w.phase(checks.PhaseResolve, start)
	if len(answers) > 0 {
		w.measure("probe.dns.lookup_time", took.Seconds(), "s")
		w.measure("probe.dns.answers", float64(len(answers)), "")
	}
	if p != nil {
		return nil, w.stop("dns", p)
	}
	w.went("dns", "%s in %s", listed(answers), took.Round(time.Microsecond))
	return answers, nil
}

// dial tries the answers in turn, IPv4 first, each with its share of the time that is left.
func (w *walk) dial(ctx context.Context, answers []netip.Addr) *problem {
	start := time.Now()
	answers = inTurn(answers)
	var first *problem
	for i, addr := range answers {
		target := net.JoinHostPort(addr.String(), strconv.Itoa(w.host.port()))
		conn, err := w.dialOne(ctx, target, len(answers)-i)
		if err == nil {
			w.conn = conn
			w.went("connect", "%s in %s", target, w.phase(checks.PhaseConnect, start).Round(time.Microsecond))
			return nil
		}
		p := ofConnect(ctx, err)
		if p.status == checks.Unknown {
			return w.stop("connect", p)
		}
		if first == nil {
			p.text += " by " + target
			first = p
		}
	}
	w.phase(checks.PhaseConnect, start)
	if len(answers) > 1 {
		first.text += fmt.Sprintf(", nor by %d other addresses", len(answers)-1)
	}
	return w.stop("connect", first)
}

func (w *walk) dialOne(ctx context.Context, target string, left int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	return w.net.DialContext(ctx, "tcp", target)
}

// inTurn puts IPv4 first, since a host without IPv6 would otherwise wait for each address, and bounds the number.
func inTurn(answers []netip.Addr) []netip.Addr {
	ordered := make([]netip.Addr, 0, len(answers))
	for _, four := range []bool{true, false} {
		for _, addr := range answers {
			if addr.Is4() == four {
				ordered = append(ordered, addr)
			}
		}
	}
	return ordered[:min(len(ordered), maxAddresses)]
}

func (w *walk) handshake(ctx context.Context) *problem {
	name := w.host.ServerName
	if name == "" {
		name = w.host.Host
	}
	start := time.Now()
	conn := tls.Client(w.conn, w.tlsConfig(name))
	err := conn.HandshakeContext(ctx)
	w.phase(checks.PhaseTLS, start)
	if err != nil {
		if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			w.expiry(unverified.UnverifiedCertificates)
		}
		return w.stop("tls", ofTLS(ctx, err, name))
	}
	w.conn = conn
	state := conn.ConnectionState()
	w.expiry(state.PeerCertificates)
	left := time.Until(chainEnd(state.VerifiedChains))
	days := int(math.Floor(left.Hours() / 24))
	if days < w.host.minDays() {
		w.degraded = fmt.Sprintf("the certificate expires in %s, want at least %d", plural(days, "day"), w.host.minDays())
	}
	w.steps = append(w.steps, checks.Step{
		Name: "tls", OK: w.degraded == "",
		Detail: fmt.Sprintf("%s: %s, chain of %d, %s left", w.name, tls.VersionName(state.Version), len(state.PeerCertificates), plural(days, "day")),
	})
	return nil
}

func (e *Egress) tlsConfig(name string) *tls.Config {
	config := e.net.TLSConfig()
	if config == nil {
		return &tls.Config{ServerName: name, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	config = config.Clone()
	config.ServerName, config.NextProtos = name, []string{"http/1.1"}
	return config
}

// expiry measures the first end among what the server sent, as blackbox_exporter does, also where nothing verified.
func (w *walk) expiry(sent []*x509.Certificate) {
	if len(sent) == 0 {
		return
	}
	w.measure("probe.ssl.earliest_cert_expiry", float64(firstEnd(sent).Unix()), "")
}

func firstEnd(certs []*x509.Certificate) time.Time {
	end := certs[0].NotAfter
	for _, cert := range certs[1:] {
		if cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}

// chainEnd is when the last of the verified chains ends: an old cross-signed certificate that a server still sends
// is no reason to wake anybody.
func chainEnd(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, chain := range chains {
		if end := firstEnd(chain); end.After(last) {
			last = end
		}
	}
	return last
}

// get sends one GET down the connection that was just checked. The body is not read.
func (w *walk) get(ctx context.Context) *problem {
	path := w.host.HTTP.Path
	if path == "" {
		path = "/"
	}
	start := time.Now()
	status, err := w.roundTrip(ctx, path)
	w.phase(checks.PhaseFirstByte, start)
	if err != nil {
		return w.stop("http", ofHTTP(ctx, err))
	}
	w.measure("probe.http.status_code", float64(status), "")
	if want := w.host.HTTP.Status; want != 0 && status != want {
		return w.stop("http", failed(checks.CauseAssertion, fmt.Sprintf("HTTP status %d, want %d", status, want)))
	}
	w.went("http", "status %d", status)
	return nil
}

func (w *walk) roundTrip(ctx context.Context, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.host.url()+path, http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("building the request: %w", err)
	}
	if network, ok := w.net.(dressing); ok {
		network.Dress(req.Header)
	}
	req.Close = true
	if err := req.Write(w.conn); err != nil {
		return 0, fmt.Errorf("sending the request: %w", err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(w.conn, maxHeader)), req)
	if err != nil {
		return 0, fmt.Errorf("reading the answer: %w", err)
	}
	_ = w.conn.Close() // first: closing a body would read it to its end
	_ = answer.Body.Close()
	return answer.StatusCode, nil
}
