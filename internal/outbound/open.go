package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	defaultMaxBody = 4 << 20
	// drainTime and drainBytes bound what Close reads so that a connection can be used again.
	drainTime  = 100 * time.Millisecond
	drainBytes = 16 << 10
)

// Open implements Exchanger.
func (n *Network) Open(ctx context.Context, req Request) (*Response, error) {
	wire, via, err := n.prepare(ctx, req)
	if err != nil {
		return nil, err
	}
	own, err := n.ownTLS(req.TLS)
	if err != nil {
		return nil, err
	}
	f := newFlight(hostPort(wire.URL), wire.URL.Scheme, schemeOf(via))
	ctx, stop := context.WithCancelCause(httptrace.WithClientTrace(withOneDial(ctx), f.trace()))
	cancel := func() { stop(nil) }
	f.repeated = func() { stop(errRepeated) }
	b := &body{ctx: ctx, flight: f, cancel: cancel}
	transport := n.pooled
	if req.Reuse && own == nil {
		b.drain = true
	} else {
		if own == nil {
			transport = n.single()
		} else {
			transport = n.transport()
			transport.TLSClientConfig, transport.DisableKeepAlives = own, true
		}
		b.release = transport.CloseIdleConnections // ends a dial that nobody waits for, too
	}
	answer, err := transport.RoundTrip(wire.WithContext(ctx))
	if err == nil && answer.StatusCode == http.StatusProxyAuthRequired && via != nil {
		_ = answer.Body.Close()
		err = &proxyError{status: answer.StatusCode}
	}
	if errors.Is(context.Cause(ctx), errRepeated) {
		err = errRepeated
	}
	if err != nil {
		failure := f.fail(ctx, err)
		failure.Timings = f.now()
		b.stop()
		return nil, failure
	}
	f.header()
	if !b.drain && own == nil && answer.ProtoMajor == 1 { // HTTP/2 might find its connection again
		b.release = func() { n.spent.Put(transport) }
	}
	b.wrap(answer, req.MaxBody)
	return &Response{Status: answer.StatusCode, Header: answer.Header, Body: b, Proto: answer.Proto}, nil
}

// prepare checks a request and dresses it. It returns the proxy too, nil where the way is direct.
func (n *Network) prepare(ctx context.Context, req Request) (*http.Request, *url.URL, error) {
	u, err := url.Parse(req.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, nil, misuse("url", "not an http or https URL")
	}
	if u.User != nil {
		return nil, nil, misuse("url", "a URL that holds a user or password")
	}
	via, err := n.proxy(u)
	if err != nil {
		return nil, nil, misuse("proxy", "the proxy for this URL cannot be used")
	}
	if n.guardProxied(u) != nil {
		return nil, nil, &Failure{Cause: checks.CauseConfig, Stage: stageConnect, Reason: "guard", Err: errGuarded}
	}
	wire, err := http.NewRequestWithContext(ctx, req.Method, u.String(), http.NoBody)
	if err != nil {
		return nil, nil, misuse("method", "not a method: "+Sanitize(req.Method, 32))
	}
	if len(req.Body) > 0 {
		// Without GetBody the transport cannot send a body a second time on its own.
		wire.Body, wire.ContentLength = io.NopCloser(bytes.NewReader(req.Body)), int64(len(req.Body))
	}
	if wire.Header, err = n.header(req.Header); err == nil && n.detour != nil {
		n.detour.clean(wire.Header)
	}
	return wire, via, err
}

// header checks the caller's header and adds what every request carries. Its error never shows a value.
func (n *Network) header(given http.Header) (http.Header, error) {
	header := make(http.Header, len(given)+3)
	for name, values := range given {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return nil, misuse("header", "a header that cannot be sent: "+Sanitize(name, 64))
			}
			header.Add(name, value)
		}
	}
	setDefault(header, "Accept-Encoding", "gzip")
	n.Dress(header)
	return header, nil
}

// Dress adds what every probe carries to the header of a request that is sent by other means: the User-Agent and a trace
// context of its own.
func (n *Network) Dress(header http.Header) {
	setDefault(header, "User-Agent", n.userAgent)
	setDefault(header, "Traceparent", traceparent())
}

func setDefault(h http.Header, name, value string) {
	if len(h.Values(name)) == 0 {
		h.Set(name, value)
	}
}

// traceparent is a sampled trace context with random ids, as W3C Trace Context, version 00, writes it.
func traceparent() string {
	var id [24]byte
	_, _ = rand.Read(id[:]) // never fails
	return "00-" + hex.EncodeToString(id[:16]) + "-" + hex.EncodeToString(id[16:]) + "-01"
}

func schemeOf(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Scheme
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return u.Host + ":443"
	}
	return u.Host + ":80"
}

// body is an answer's body: inflated, bounded, timed, and the owner of its connection.
type body struct {
	ctx     context.Context //nolint:containedctx // the exchange's own, which ends with the body
	flight  *flight
	cancel  context.CancelFunc
	release func()
	drain   bool // read a little on Close, so that the connection can be used again

	raw  io.ReadCloser
	src  io.Reader
	left int64 // decompressed bytes still allowed
	err  error
	once sync.Once
}

func (b *body) wrap(answer *http.Response, limit int64) {
	if limit <= 0 {
		limit = defaultMaxBody
	}
	b.raw, b.src, b.left = answer.Body, answer.Body, limit
	encoding := strings.ToLower(strings.TrimSpace(answer.Header.Get("Content-Encoding")))
	if encoding == "gzip" || encoding == "x-gzip" {
		// The compressed side has a bound too: blocks can be empty without end. 64 KiB is gzip's overhead on what does not compress.
		b.src = &inflater{src: &bounded{src: answer.Body, left: limit + limit/1024 + 64<<10}}
		answer.Header.Del("Content-Encoding")
		answer.Header.Del("Content-Length")
	}
}

// Read implements BodyReader. Its errors are io.EOF or a *Failure.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.src.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), errTooLarge
	}
	b.left -= int64(n)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		b.flight.end()
		b.err = io.EOF
	default:
		failure := b.flight.fail(b.ctx, err)
		failure.Timings = b.flight.now()
		b.err = failure
	}
	return n, b.err
}

// Close ends the exchange. It is safe to call it more than once.
func (b *body) Close() error {
	b.once.Do(func() {
		b.flight.end()
		if b.drain && b.err == nil {
			timer := time.AfterFunc(drainTime, b.cancel)
			_, _ = io.CopyN(io.Discard, b.raw, drainBytes)
			timer.Stop()
		}
		_ = b.raw.Close()
		b.stop()
	})
	return nil
}

func (b *body) stop() {
	b.cancel()
	if b.release != nil {
		b.release()
	}
}

// Timings implements BodyReader.
func (b *body) Timings() Timings { return b.flight.now() }

// bounded refuses to read past its bound.
type bounded struct {
	src  io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.src.Read(p)
	b.left -= int64(n)
	return n, err
}

// inflater starts with the first Read, so that Open does not wait for the body.
type inflater struct {
	src io.Reader
	gz  *gzip.Reader
}

func (i *inflater) Read(p []byte) (int, error) {
	if i.gz == nil {
		gz, err := gzip.NewReader(i.src)
		if errors.Is(err, io.EOF) {
			return 0, io.EOF // a HEAD, a 204 or an empty body that only says it is compressed
		}
		if err != nil {
			return 0, err
		}
		i.gz = gz
	}
	return i.gz.Read(p)
}
