package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

const patience = 250 * time.Millisecond

func network(t *testing.T, o outbound.Options) *outbound.Network {
	t.Helper()
	n, err := outbound.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// failing makes an exchange that is expected to fail at a stage. Where a deadline is to pass there it is short, and
// doubled while it passes before that stage is reached: the machine may be busy.
func failing(t *testing.T, n *outbound.Network, req outbound.Request, stage string, deadline bool) error {
	t.Helper()
	return patiently(t, stage, deadline, func(ctx context.Context) error {
		_, _, err := fetch(ctx, n, req)
		return err
	})
}

func patiently(t *testing.T, stage string, deadline bool, do func(context.Context) error) error {
	t.Helper()
	limit := 20 * time.Second
	if deadline {
		limit = patience
	}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := do(ctx)
		cancel()
		failure, ok := errors.AsType[*outbound.Failure](err)
		if !ok || failure.Stage == stage || limit > 5*time.Second {
			return err
		}
		limit *= 2
	}
}

func fetch(ctx context.Context, n *outbound.Network, req outbound.Request) (*outbound.Response, []byte, error) {
	if req.Method == "" {
		req.Method = http.MethodGet
	}
	answer, err := n.Open(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	return answer, data, err
}

// wantFailure checks the four facts of a failure and that nothing secret is in its text.
func wantFailure(t *testing.T, err error, cause checks.Cause, stage, reason string, deadline bool) {
	t.Helper()
	failure, ok := errors.AsType[*outbound.Failure](err)
	if !ok {
		t.Fatalf("got %T %v, want a *Failure", err, err)
	}
	got := fmt.Sprint(failure.Cause, failure.Stage, failure.Reason, failure.Deadline)
	if want := fmt.Sprint(cause, stage, reason, deadline); got != want {
		t.Errorf("got %s, want %s: %v", got, want, err)
	}
	text := err.Error()
	if strings.Contains(text, "hunter2") || strings.ContainsAny(text, "?\n\x1b") {
		t.Errorf("the text tells too much: %q", text)
	}
}

func quiet(handler http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	return s
}

func TestAnExchangeIsTimedAndDressed(t *testing.T) {
	t.Parallel()
	ca := outboundtest.NewCA(t)
	server := quiet(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("User-Agent"); got != "windsock/9 (synthetic)" {
			t.Errorf("user agent %q", got)
		}
		if got := r.Header.Get("Traceparent"); !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`).MatchString(got) {
			t.Errorf("traceparent %q", got)
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append([]byte("you said "), body...))
	}))
	server.TLS = ca.Config(t, outboundtest.Valid(), "api.test")
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()

	n := network(t, outbound.Options{
		CAFile: ca.File, UserAgent: "windsock/9 (synthetic)",
		Resolver: outboundtest.Resolver(t, outboundtest.Address("127.0.0.1")),
	})
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answer, body, err := fetch(ctx, n, outbound.Request{Method: "POST", URL: "https://api.test:" + port + "/v1", Body: []byte("ping")})
	if err != nil {
		t.Fatal(err)
	}
	if string(body) != "you said ping" || answer.Proto != "HTTP/2.0" || answer.Status != 200 {
		t.Errorf("got %d %s %q", answer.Status, answer.Proto, body)
	}
	got := answer.Body.Timings()
	if got.Resolve <= 0 || got.Connect <= 0 || got.TLS <= 0 || got.FirstByte <= 0 || got.Total < got.Resolve+got.Connect+got.TLS {
		t.Errorf("phases are missing: %+v", got)
	}
	if got.Reused || got.Proxied || got.RemoteAddr != server.Listener.Addr().String() {
		t.Errorf("got %+v", got)
	}
	if again := answer.Body.Timings(); again != got {
		t.Errorf("timings moved after Close: %+v, then %+v", got, again)
	}
}

func TestConnectionsAreFreshUnlessAsked(t *testing.T) {
	t.Parallel()
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := outboundtest.NewCA(t)
			var connections atomic.Int64
			server := quiet(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
			server.TLS = ca.Config(t, outboundtest.Valid(), "127.0.0.1")
			server.EnableHTTP2 = h2
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			server.StartTLS()
			defer server.Close()
			n := network(t, outbound.Options{CAFile: ca.File})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for _, step := range []struct {
				reuse bool
				want  int64
			}{{false, 1}, {false, 2}, {true, 3}, {true, 3}, {true, 3}, {false, 4}} {
				answer, _, err := fetch(ctx, n, outbound.Request{URL: server.URL, Reuse: step.reuse})
				if err != nil {
					t.Fatal(err)
				}
				if got := connections.Load(); got != step.want {
					t.Errorf("reuse %v: got %d connections, want %d (%+v)", step.reuse, got, step.want, answer.Body.Timings())
				}
			}
		})
	}
}

func TestNamesThatDoNotResolve(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		handler  dns.HandlerFunc
		reason   string
		deadline bool
	}{
		"no such name":             {outboundtest.Answer(dns.RcodeNameError), "nxdomain", false},
		"the name server fails":    {outboundtest.Answer(dns.RcodeServerFailure), "servfail", false},
		"a name without addresses": {outboundtest.Answer(dns.RcodeSuccess), "nxdomain", false},
		"nobody answers":           {outboundtest.Silence, "timeout", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := network(t, outbound.Options{Resolver: outboundtest.Resolver(t, tt.handler)})
			err := failing(t, n, outbound.Request{URL: "https://api.test./v1/models?key=hunter2"}, "dns", tt.deadline)
			wantFailure(t, err, checks.CauseDNS, "dns", tt.reason, tt.deadline)
			err = patiently(t, "dns", tt.deadline, func(ctx context.Context) error {
				_, err := n.DialContext(ctx, "tcp", "api.test.:443")
				return err
			})
			wantFailure(t, err, checks.CauseDNS, "dns", tt.reason, tt.deadline)
		})
	}
}

func TestConnectionsThatDoNotStand(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		address       string
		cause         checks.Cause
		stage, reason string
		deadline      bool
		errno         error
	}{
		"refused":    {outboundtest.Refused(t), checks.CauseConnect, "connect", "refused", false, syscall.ECONNREFUSED},
		"no route":   {"224.0.0.1:443", checks.CauseConnect, "connect", "unreachable", false, syscall.ENETUNREACH},
		"blackholed": {outboundtest.Blackhole(t), checks.CauseTimeoutConnect, "connect", "timeout", true, context.DeadlineExceeded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := network(t, outbound.Options{})
			err := failing(t, n, outbound.Request{URL: "http://" + tt.address + "/?key=hunter2"}, tt.stage, tt.deadline)
			wantFailure(t, err, tt.cause, tt.stage, tt.reason, tt.deadline)
			if !errors.Is(err, tt.errno) {
				t.Errorf("%v is not %v", err, tt.errno)
			}
			err = patiently(t, tt.stage, tt.deadline, func(ctx context.Context) error {
				_, err := n.DialContext(ctx, "tcp", tt.address)
				return err
			})
			wantFailure(t, err, tt.cause, tt.stage, tt.reason, tt.deadline)
		})
	}
}

func TestHandshakesThatFail(t *testing.T) {
	t.Parallel()
	ca, stranger := outboundtest.NewCA(t), outboundtest.NewCA(t)
	weak := ca.Config(t, outboundtest.Valid(), "127.0.0.1")
	weak.MinVersion, weak.MaxVersion = 0x0301, 0x0302
	mutual := ca.Config(t, outboundtest.Valid(), "127.0.0.1")
	mutual.ClientAuth = 2 // tls.RequireAnyClientCert
	start := func(server *httptest.Server) string {
		if server.TLS != nil {
			server.StartTLS()
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	plain := start(quiet(http.NotFoundHandler()))
	secure := func(from *outboundtest.CA, v outboundtest.Validity, host string) string {
		server := quiet(http.NotFoundHandler())
		server.TLS = from.Config(t, v, host)
		return start(server)
	}
	weakServer, mutualServer := quiet(http.NotFoundHandler()), quiet(http.NotFoundHandler())
	weakServer.TLS, mutualServer.TLS = weak, mutual
	sha1 := quiet(http.NotFoundHandler())
	sha1.TLS = ca.SHA1(t, "127.0.0.1")
	tests := map[string]struct {
		address, reason string
		deadline        bool
	}{
		"a signature with SHA-1":            {start(sha1), "weak_signature", false},
		"an expired certificate":            {secure(ca, outboundtest.Expired(), "127.0.0.1"), "expired", false},
		"a certificate of tomorrow":         {secure(ca, outboundtest.NotYetValid(), "127.0.0.1"), "not_yet_valid", false},
		"a certificate for another host":    {secure(ca, outboundtest.Valid(), "elsewhere.test"), "wrong_host", false},
		"an authority that nobody knows":    {secure(stranger, outboundtest.Valid(), "127.0.0.1"), "unknown_ca", false},
		"plain HTTP":                        {plain, "plain_http", false},
		"only TLS 1.1":                      {start(weakServer), "alert", false},
		"a demand for a client certificate": {start(mutualServer), "alert", false},
		"a hang-up in the handshake":        {outboundtest.Raw(t, func(c net.Conn, _ <-chan struct{}) { _, _ = c.Read(make([]byte, 4096)) }), "closed", false},
		"a reset in the handshake": {outboundtest.Raw(t, func(c net.Conn, _ <-chan struct{}) {
			_, _ = c.Read(make([]byte, 4096))
			outboundtest.Reset(c)
		}), "reset", false},
		"something that is not TLS": {outboundtest.Raw(t, func(c net.Conn, _ <-chan struct{}) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n") }), "not_tls", false},
		"silence":                   {outboundtest.Raw(t, func(_ net.Conn, done <-chan struct{}) { <-done }), "timeout", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := network(t, outbound.Options{CAFile: ca.File})
			err := failing(t, n, outbound.Request{URL: "https://" + tt.address + "/?key=hunter2"}, "tls", tt.deadline)
			wantFailure(t, err, checks.CauseTLS, "tls", tt.reason, tt.deadline)
		})
	}
}

// says answers every connection with text after the request's header has begun to arrive, then does finish.
func says(t *testing.T, text string, finish func(net.Conn, <-chan struct{})) string {
	t.Helper()
	return outboundtest.Raw(t, func(conn net.Conn, done <-chan struct{}) {
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		if finish != nil {
			finish(conn, done)
		}
	})
}

func hang(_ net.Conn, done <-chan struct{})  { <-done }
func reset(conn net.Conn, _ <-chan struct{}) { outboundtest.Reset(conn) }

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\n"
	drip := func(conn net.Conn, done <-chan struct{}) {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
			}
		}
	}
	tests := map[string]struct {
		address       string
		cause         checks.Cause
		stage, reason string
		deadline      bool
	}{
		"silence":                  {says(t, "", hang), checks.CauseTimeout, "headers", "headers", true},
		"a header without end":     {says(t, head+"X-Slow: ", drip), checks.CauseTimeout, "headers", "headers", true},
		"a header beyond bounds":   {says(t, head+"X-Big: "+strings.Repeat("x", 100<<10), hang), checks.CauseResponseTooLarge, "headers", "headers", false},
		"a hang-up":                {says(t, "", nil), checks.CauseConnect, "headers", "closed", false},
		"a reset":                  {says(t, "", reset), checks.CauseConnect, "headers", "reset", false},
		"a hang-up in the header":  {says(t, head+"Server: x\r\n", nil), checks.CauseConnect, "headers", "closed", false},
		"no HTTP":                  {says(t, "220 smtp.test ESMTP\r\n", hang), checks.CauseMalformed, "headers", "protocol", false},
		"a stalled body":           {says(t, head+"Content-Length: 10\r\n\r\nabc", hang), checks.CauseTimeout, "body", "body", true},
		"a body of single bytes":   {says(t, head+"Content-Length: 100000\r\n\r\n", drip), checks.CauseTimeout, "body", "body", true},
		"a reset in the body":      {says(t, head+"Content-Length: 10\r\n\r\nabc", reset), checks.CauseConnect, "body", "reset", false},
		"a short body":             {says(t, head+"Content-Length: 10\r\n\r\nabc", nil), checks.CauseMalformed, "body", "truncated", false},
		"chunks without end":       {says(t, head+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", nil), checks.CauseMalformed, "body", "truncated", false},
		"chunks that are none":     {says(t, head+"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", nil), checks.CauseMalformed, "body", "protocol", false},
		"gzip that is none":        {says(t, head+"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n<html>not gzip</html", nil), checks.CauseMalformed, "body", "gzip", false},
		"gzip that ends too early": {says(t, head+"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"+string(squeeze(t, 1000))[:14], nil), checks.CauseMalformed, "body", "truncated", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := network(t, outbound.Options{})
			err := failing(t, n, outbound.Request{URL: "http://" + tt.address + "/v1?key=hunter2"}, tt.stage, tt.deadline)
			wantFailure(t, err, tt.cause, tt.stage, tt.reason, tt.deadline)
			failure, _ := errors.AsType[*outbound.Failure](err)
			if failure.Timings.Total <= 0 || failure.Timings.Connect <= 0 {
				t.Errorf("a failure without timings: %+v", failure.Timings)
			}
		})
	}
}

func TestRedirectsAreAnswers(t *testing.T) {
	t.Parallel()
	var visited atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited.Add(1) }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	n := network(t, outbound.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answer, _, err := fetch(ctx, n, outbound.Request{URL: server.URL, Header: http.Header{"Authorization": {"Bearer x"}}})
	if err != nil || answer.Status != http.StatusTemporaryRedirect {
		t.Errorf("got %+v, %v", answer, err)
	}
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
	resp, err := n.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTemporaryRedirect || visited.Load() != 0 {
		t.Errorf("got %d after %d visits elsewhere", resp.StatusCode, visited.Load())
	}
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	n := network(t, outbound.Options{})
	tests := map[string]struct {
		req    outbound.Request
		reason string
	}{
		"no URL":                      {outbound.Request{URL: "://hunter2"}, "url"},
		"another scheme":              {outbound.Request{URL: "ftp://127.0.0.1/hunter2"}, "url"},
		"a password in the URL":       {outbound.Request{URL: "http://me:hunter2@127.0.0.1/"}, "url"},
		"a line break in a header":    {outbound.Request{URL: "http://127.0.0.1/", Header: http.Header{"Authorization": {"Bearer hunter2\n"}}}, "header"},
		"a method with a line break":  {outbound.Request{Method: "G\nET", URL: "http://127.0.0.1/"}, "method"},
		"a name that is not a header": {outbound.Request{URL: "http://127.0.0.1/", Header: http.Header{"a b": {"x"}}}, "header"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := failing(t, n, tt.req, "send", false)
			wantFailure(t, err, checks.CauseConfig, "send", tt.reason, false)
		})
	}
}

func TestACancelledExchangeIsOurDoing(t *testing.T) {
	t.Parallel()
	n := network(t, outbound.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	address := says(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", func(_ net.Conn, done <-chan struct{}) {
		cancel()
		<-done
	})
	_, _, err := fetch(ctx, n, outbound.Request{URL: "http://" + address})
	failure, ok := errors.AsType[*outbound.Failure](err)
	if !ok || failure.Cause != checks.CauseInternal || failure.Reason != "cancelled" || failure.Deadline {
		t.Errorf("got %+v", failure)
	}
}

// The limit on descriptors belongs to the process: this test runs alone.
func TestWithoutDescriptorsTheFaultIsOurs(t *testing.T) { //nolint:paralleltest // see above
	n := network(t, outbound.Options{Resolver: outboundtest.Resolver(t, outboundtest.Address("127.0.0.1"))})
	for name, target := range map[string]string{"lookup": "http://api.test./", "connect": "http://127.0.0.1:9/"} {
		var before syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		_, _, err := fetch(ctx, n, outbound.Request{URL: target})
		if restored := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); restored != nil {
			t.Fatal(restored)
		}
		cancel()
		failure, ok := errors.AsType[*outbound.Failure](err)
		if !ok || failure.Cause != checks.CauseInternal || failure.Reason != "no_descriptors" {
			t.Errorf("%s: got %+v, %v", name, failure, err)
		}
	}
}

func TestErrorsOfTheClientAreCleaned(t *testing.T) {
	t.Parallel()
	n := network(t, outbound.Options{})
	address := outboundtest.Refused(t)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/hooks/hunter2?token=hunter2", http.NoBody)
	resp, err := n.Client().Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("nobody should listen")
	}
	clean := outbound.Clean(err)
	if strings.Contains(clean.Error(), "hunter2") || !errors.Is(clean, syscall.ECONNREFUSED) {
		t.Errorf("got %q", clean)
	}
	if _, ok := errors.AsType[*url.Error](clean); !ok {
		t.Error("the error below is gone")
	}
	if outbound.Clean(nil) != nil {
		t.Error("an error out of nothing")
	}
}
