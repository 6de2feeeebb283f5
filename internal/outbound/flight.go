package outbound

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"syscall"
	"time"
)

// controlFunc is the type of net.Dialer.ControlContext.
type controlFunc = func(ctx context.Context, network, address string, c syscall.RawConn) error

// The stages of an exchange, in their order.
const (
	stageDNS     = "dns"
	stageConnect = "connect"
	stageProxy   = "proxy"
	stageTLS     = "tls"
	stageSend    = "send"
	stageHeaders = "headers"
	stageBody    = "body"
)

// flight follows one exchange through httptrace. The transport may call its hooks after the exchange has failed.
type flight struct {
	host        string // of the target, with its port
	scheme      string // of the target; "" for a bare dial
	proxyScheme string // "" where the way is direct
	repeated    func() // ends the exchange: net/http tries it too often; nil for a bare dial

	mu       sync.Mutex // guards all below
	stage    string
	timings  Timings
	ended    bool
	resolve  time.Time // when the phase began
	connect  time.Time
	tls      time.Time
	ready    time.Time // to send the request
	sent     time.Time
	attempts int  // connections that were given to the request
	tlsProxy bool // the handshake with an https proxy is over
}

func newFlight(host, scheme, proxyScheme string) *flight {
	f := &flight{host: host, scheme: scheme, proxyScheme: proxyScheme, stage: stageConnect}
	f.timings.Start = time.Now()
	f.timings.Proxied = proxyScheme != ""
	return f
}

// trace are the hooks. Each takes the lock; none does anything after the end.
func (f *flight) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart:             func(httptrace.DNSStartInfo) { f.note(f.dnsStart) },
		DNSDone:              func(d httptrace.DNSDoneInfo) { f.note(func(now time.Time) { f.dnsDone(now, d.Err) }) },
		ConnectStart:         func(_, _ string) { f.note(f.connectStart) },
		ConnectDone:          func(_, _ string, err error) { f.note(func(now time.Time) { f.connectDone(now, err) }) },
		TLSHandshakeStart:    func() { f.note(f.tlsStart) },
		TLSHandshakeDone:     func(_ tls.ConnectionState, err error) { f.note(func(now time.Time) { f.tlsDone(now, err) }) },
		GotConn:              func(i httptrace.GotConnInfo) { f.note(func(now time.Time) { f.gotConn(now, i) }) },
		WroteRequest:         func(w httptrace.WroteRequestInfo) { f.note(func(now time.Time) { f.wrote(now, w.Err) }) },
		GotFirstResponseByte: func() { f.note(f.firstByte) },
	}
}

func (f *flight) note(change func(now time.Time)) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		change(now)
	}
}

func (f *flight) dnsStart(now time.Time) {
	f.stage = stageDNS
	f.resolve = now
}

func (f *flight) dnsDone(now time.Time, err error) {
	f.timings.Resolve = now.Sub(f.resolve)
	if err == nil {
		f.stage = stageConnect
	}
}

// connectStart is called once per address; the phase begins with the first.
func (f *flight) connectStart(now time.Time) {
	f.stage = stageConnect
	if f.connect.IsZero() {
		f.connect = now
	}
}

func (f *flight) connectDone(now time.Time, err error) {
	f.timings.Connect = now.Sub(f.connect)
	if err != nil {
		return
	}
	switch {
	case f.proxyScheme != "" && f.scheme != "http":
		f.stage = stageProxy // the tunnel comes next
	case f.proxyScheme == "https":
		f.stage = stageProxy
	case f.scheme == "https":
		f.stage = stageTLS
	default:
		f.stage = stageSend
	}
}

func (f *flight) tlsStart(now time.Time) {
	if f.proxyScheme == "https" && !f.tlsProxy {
		f.stage = stageProxy
		return
	}
	if f.proxyScheme != "" { // the tunnel is part of connecting
		f.timings.Connect = now.Sub(f.connect)
	}
	f.stage = stageTLS
	f.tls = now
}

func (f *flight) tlsDone(now time.Time, err error) {
	if f.proxyScheme == "https" && !f.tlsProxy {
		f.tlsProxy = err == nil
		return
	}
	f.timings.TLS = now.Sub(f.tls)
	if err == nil {
		f.stage = stageSend
	}
}

func (f *flight) gotConn(now time.Time, info httptrace.GotConnInfo) {
	// A kept connection may have died unnoticed: that is worth a second one. A third is a server that takes back what it
	// was asked.
	if f.attempts++; f.attempts > 2 && f.repeated != nil {
		f.repeated()
	}
	f.timings.Reused = info.Reused
	if addr := info.Conn.RemoteAddr(); addr != nil {
		f.timings.RemoteAddr = addr.String()
	}
	f.stage = stageSend
	f.ready, f.sent = now, time.Time{}
}

func (f *flight) wrote(now time.Time, err error) {
	if f.sent.IsZero() {
		f.sent = now
	}
	if err == nil && f.stage == stageSend {
		f.stage = stageHeaders
	}
}

// firstByte may come before it is known that the request was written: a server that answers early, or HTTP/2, where other
// goroutines read and write. Then the time since the connection stood is the nearest that is known.
func (f *flight) firstByte(now time.Time) {
	if f.sent.IsZero() {
		f.sent = f.ready
	}
	f.timings.FirstByte = now.Sub(f.sent)
	f.stage = stageHeaders
}

// header marks that the answer's header is complete.
func (f *flight) header() { f.note(func(time.Time) { f.stage = stageBody }) }

// end stops the clock, once, and returns the stage that was reached.
func (f *flight) end() string {
	f.note(func(now time.Time) {
		f.timings.Total = now.Sub(f.timings.Start)
		f.ended = true
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stage
}

// now returns the timings so far.
func (f *flight) now() Timings {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.timings
	if !f.ended {
		t.Total = now.Sub(t.Start)
	}
	return t
}

func (f *flight) fail(ctx context.Context, err error) *Failure {
	stage := f.end()
	return explain(ctx, err, place{stage: stage, host: f.host, proxied: f.proxyScheme != ""})
}
