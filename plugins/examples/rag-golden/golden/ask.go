package golden

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	maxResponse = 1 << 20  // bytes
	maxHeader   = 64 << 10 // bytes
	maxCited    = 1000     // sources of one answer
)

// answer is what the endpoint said to one question.
type answer struct {
	text    string
	sources []string
	refused bool // it says so by itself
	took    time.Duration
}

// trouble is why there is no answer.
type trouble struct {
	cause checks.Cause
	blame checks.Blame // "" is the cause's own
	text  string       // for a person; nothing of what the endpoint said
	final bool         // the other questions would fare the same
}

// client asks the endpoint. It is made for one run.
type client struct {
	params *Params
	header http.Header
	http   *http.Client
}

// newClient reads the secrets. Proxies come from the environment, which the plugin gets by `env:`.
func newClient(ctx context.Context, p *Params) (*client, error) {
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"windsock-rag-golden"}}
	for name, value := range p.Headers {
		header.Set(name, value)
	}
	for name, secret := range p.SecretHeaders {
		value, err := secret.Reveal(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the secret of header %s: %w", name, err)
		}
		if value == "" || strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("the secret of header %s cannot be a header's value", name)
		}
		header.Set(name, value)
	}
	return &client{p, header, &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: maxHeader, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// ask asks one question.
func (c *client) ask(ctx context.Context, question string) (*answer, *trouble) {
	ctx, cancel := context.WithTimeout(ctx, c.params.QuestionTimeout)
	defer cancel()
	body, err := json.Marshal(fill(c.params.request(), question))
	if err != nil {
		return nil, &trouble{cause: checks.CauseConfig, text: "the request cannot be written as JSON", final: true}
	}
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(traced, http.MethodPost, c.params.URL, bytes.NewReader(body))
	if err != nil {
		return nil, &trouble{cause: checks.CauseConfig, text: "the address cannot be used", final: true}
	}
	req.Header = c.header.Clone()
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	start := time.Now()
	response, err := c.http.Do(req)
	if err != nil {
		return nil, c.failed(err, connected.Load())
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if t := c.refused(ctx, response.StatusCode); t != nil {
		return nil, t
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, c.failed(err, true)
	case len(data) > maxResponse:
		return nil, &trouble{checks.CauseResponseTooLarge, checks.BlameApplication, fmt.Sprintf("the response has more than %d bytes", maxResponse), false}
	}
	a, t := c.read(data)
	if t != nil {
		return nil, t
	}
	a.took = time.Since(start)
	return a, nil
}

// failed is the trouble of an exchange that did not come to its end. The error's own text may hold the address.
func (c *client) failed(err error, connected bool) *trouble {
	switch {
	case errors.Is(err, context.DeadlineExceeded) && connected:
		return &trouble{checks.CauseTimeout, checks.BlameApplication, "no whole answer in time", false}
	case errors.Is(err, context.DeadlineExceeded):
		return &trouble{checks.CauseTimeoutConnect, "", "no connection in time", true}
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return &trouble{checks.CauseDNS, "", "the name of the host cannot be resolved", true}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		switch {
		case op.Op == "proxyconnect":
			return &trouble{checks.CauseProxy, "", "the proxy cannot be reached", true}
		case op.Timeout():
			return &trouble{checks.CauseTimeoutConnect, "", "no connection in time", true}
		case op.Op == "remote error" || op.Op == "local error": // alerts of crypto/tls
			return &trouble{checks.CauseTLS, "", "the TLS handshake failed", true}
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
			return &trouble{checks.CauseConnect, checks.BlameApplication, "the connection was refused or reset", true}
		}
		return &trouble{checks.CauseConnect, "", "no connection", true}
	}
	if untrusted(err) {
		return &trouble{checks.CauseTLS, "", "the certificate is not trusted, or TLS is not spoken", true}
	}
	if !connected {
		return &trouble{checks.CauseConnect, "", "no connection", true}
	}
	return &trouble{checks.CauseMalformed, checks.BlameApplication, "the response broke off or is no HTTP", false}
}

func untrusted(err error) bool {
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return verify || record || strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// refused is what a status other than 2xx means.
func (c *client) refused(ctx context.Context, status int) *trouble {
	text := fmt.Sprintf("status %d %s, want 2xx", status, http.StatusText(status))
	switch {
	case status >= 200 && status < 300:
		return nil
	case status >= 300 && status < 400:
		return &trouble{checks.CauseUnexpectedRedirect, checks.BlameApplication, text + ": a redirect, which is not followed", true}
	case status == http.StatusUnauthorized:
		for _, secret := range c.params.SecretHeaders {
			_, _ = secret.Renew(ctx) // for the next run
		}
		return &trouble{checks.CauseAuth, checks.BlameConfig, text, true}
	case status == http.StatusPaymentRequired:
		return &trouble{checks.CausePayment, checks.BlameConfig, text, true}
	case status == http.StatusForbidden:
		return &trouble{checks.CauseForbidden, checks.BlameConfig, text, true}
	case status == http.StatusTooManyRequests:
		return &trouble{checks.CauseRateLimited, checks.BlameApplication, text, true}
	case status >= 500:
		return &trouble{checks.CauseServer, checks.BlameApplication, text, false}
	}
	return &trouble{checks.CauseBadRequest, checks.BlameConfig, text, status == http.StatusNotFound || status == http.StatusMethodNotAllowed}
}

// read finds the answer and its sources in a response.
func (c *client) read(data []byte) (*answer, *trouble) {
	malformed := func(format string, args ...any) (*answer, *trouble) {
		return nil, &trouble{checks.CauseMalformed, checks.BlameApplication, fmt.Sprintf(format, args...), false}
	}
	var body any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	isJSON := decoder.Decode(&body) == nil && !decoder.More()
	text, ok := string(data), true // the whole response, where the pointer is empty
	if c.params.Answer != "" {
		value, _ := at(body, c.params.Answer)
		text, ok = value.(string)
	}
	switch {
	case !isJSON && c.params.Answer != "":
		return malformed("the response is not JSON")
	case !ok:
		return malformed("the response has no text at %q, want the answer", c.params.Answer)
	}
	if strings.TrimSpace(text) == "" {
		return nil, &trouble{checks.CauseEmptyContent, checks.BlameApplication, "the answer is empty", false}
	}
	a := &answer{text: text}
	if a.sources, ok = c.cited(body); !ok {
		return malformed("what stands at %q is not a list of sources", c.params.Sources)
	}
	if c.params.Refused != "" {
		flag, _ := at(body, c.params.Refused)
		a.refused = flag == true
	}
	return a, nil
}

// cited are the sources that an answer names; a list that is not there is an answer without any.
func (c *client) cited(body any) ([]string, bool) {
	if c.params.Sources == "" {
		return nil, true
	}
	value, ok := at(body, c.params.Sources)
	if !ok || value == nil {
		return nil, true
	}
	list, ok := value.([]any)
	if !ok || len(list) > maxCited {
		return nil, false
	}
	names := make([]string, 0, len(list))
	for _, item := range list {
		name, _ := at(item, c.params.Source)
		switch name := name.(type) {
		case string:
			names = append(names, name)
		case json.Number:
			names = append(names, name.String())
		default:
			return nil, false
		}
	}
	return names, true
}
