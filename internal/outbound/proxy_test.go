package outbound_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

// proxy speaks CONNECT and plain forwarding; it sends every name to one backend.
type proxy struct {
	url  string
	seen atomic.Int64
	auth atomic.Value // the last Proxy-Authorization
}

// startProxy starts a proxy that tunnels to the address that route gives, or answers with its status.
func startProxy(t *testing.T, route func(target string) (address string, status int)) *proxy {
	t.Helper()
	p := &proxy{}
	p.url = "http://" + outboundtest.Raw(t, func(conn net.Conn, done <-chan struct{}) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		p.seen.Add(1)
		p.auth.Store(req.Header.Get("Proxy-Authorization"))
		address, status := route(req.Host)
		switch {
		case status == 0:
			<-done // accepts, and says nothing
		case status != http.StatusOK || req.Method != http.MethodConnect:
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Length: 2\r\n\r\nok", status, http.StatusText(status))
		default:
			tunnel(t.Context(), conn, address)
		}
	})
	return p
}

func tunnel(ctx context.Context, conn net.Conn, address string) {
	var dialer net.Dialer
	upstream, err := dialer.DialContext(context.WithoutCancel(ctx), "tcp", address)
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(upstream, conn); _ = upstream.Close() })
	both.Go(func() { _, _ = io.Copy(conn, upstream); _ = conn.Close() })
	both.Wait()
}

func TestTheWayThroughAProxy(t *testing.T) {
	t.Parallel()
	ca := outboundtest.NewCA(t)
	server := quiet(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }))
	server.TLS = ca.Config(t, outboundtest.Valid(), "api.test")
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	p := startProxy(t, func(string) (string, int) { return server.Listener.Addr().String(), http.StatusOK })
	through := strings.Replace(p.url, "http://", "http://windsock:hunter2@", 1)
	n := network(t, outbound.Options{HTTPSProxy: through, HTTPProxy: through, CAFile: ca.File})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answer, body, err := fetch(ctx, n, outbound.Request{URL: "https://api.test/v1/models"})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.Body.Timings()
	if string(body) != "api.test" || !got.Proxied || got.TLS <= 0 || got.Connect <= 0 || got.FirstByte <= 0 {
		t.Errorf("got %q, %+v", body, got)
	}
	if auth := p.auth.Load(); auth != "Basic d2luZHNvY2s6aHVudGVyMg==" {
		t.Errorf("proxy authorization: %v", auth)
	}
	if _, body, err := fetch(ctx, n, outbound.Request{URL: "http://plain.test/"}); err != nil || string(body) != "ok" {
		t.Errorf("plain HTTP: %q, %v", body, err)
	}
}

func TestProxiesThatFail(t *testing.T) {
	t.Parallel()
	ca := outboundtest.NewCA(t)
	expired := quiet(http.NotFoundHandler())
	expired.TLS = ca.Config(t, outboundtest.Expired(), "api.test")
	expired.StartTLS()
	t.Cleanup(expired.Close)
	answering := func(status int) string {
		return startProxy(t, func(string) (string, int) { return "", status }).url
	}
	beyond := startProxy(t, func(string) (string, int) { return expired.Listener.Addr().String(), http.StatusOK }).url
	closing := "http://" + outboundtest.Raw(t, func(c net.Conn, _ <-chan struct{}) { _, _ = c.Read(make([]byte, 4096)) })
	tests := map[string]struct {
		proxy, target string
		cause         checks.Cause
		stage, reason string
		deadline      bool
	}{
		"down":                           {"http://" + outboundtest.Refused(t), "https://api.test/", checks.CauseProxy, "proxy", "refused", false},
		"down, plain target":             {"http://" + outboundtest.Refused(t), "http://api.test/", checks.CauseProxy, "proxy", "refused", false},
		"blackholed":                     {"http://" + outboundtest.Blackhole(t), "https://api.test/", checks.CauseProxy, "proxy", "timeout", true},
		"a name that does not resolve":   {"http://proxy.test.:3128", "https://api.test/", checks.CauseProxy, "proxy", "nxdomain", false},
		"wants a password":               {answering(407), "https://api.test/", checks.CauseProxy, "proxy", "proxy_auth", false},
		"wants a password, plain target": {answering(407), "http://api.test/", checks.CauseProxy, "headers", "proxy_auth", false},
		"refuses the tunnel":             {answering(403), "https://api.test/", checks.CauseProxy, "proxy", "http_403", false},
		"cannot reach the target":        {answering(502), "https://api.test/", checks.CauseProxy, "proxy", "http_502", false},
		"accepts and says nothing":       {answering(0), "https://api.test/", checks.CauseProxy, "proxy", "timeout", true},
		"hangs up":                       {closing, "https://api.test/", checks.CauseProxy, "proxy", "closed", false},
		"the target's own fault":         {beyond, "https://api.test/", checks.CauseTLS, "tls", "expired", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := network(t, outbound.Options{
				HTTPProxy: tt.proxy, HTTPSProxy: tt.proxy, CAFile: ca.File,
				Resolver: outboundtest.Resolver(t, outboundtest.Answer(3)),
			})
			err := failing(t, n, outbound.Request{URL: tt.target + "v1?key=hunter2"}, tt.stage, tt.deadline)
			wantFailure(t, err, tt.cause, tt.stage, tt.reason, tt.deadline)
		})
	}
}

func TestTheProxyComesFromTheOptionsAlone(t *testing.T) { //nolint:paralleltest // sets the environment
	t.Setenv("HTTPS_PROXY", "http://from-the-environment.test:1")
	t.Setenv("https_proxy", "http://from-the-environment.test:1")
	tests := map[string]struct {
		options outbound.Options
		target  string
		want    string
	}{
		"none":                     {outbound.Options{}, "https://api.test/", ""},
		"for https":                {outbound.Options{HTTPSProxy: "http://p.test:3128"}, "https://api.test/", "http://p.test:3128"},
		"without a scheme":         {outbound.Options{HTTPSProxy: "p.test:3128"}, "https://api.test/", "http://p.test:3128"},
		"not for http":             {outbound.Options{HTTPSProxy: "http://p.test:3128"}, "http://api.test/", ""},
		"an exception":             {outbound.Options{HTTPSProxy: "http://p.test:3128", NoProxy: ".test"}, "https://api.test/", ""},
		"a network as exception":   {outbound.Options{HTTPSProxy: "http://p.test:3128", NoProxy: "192.0.2.0/24"}, "https://192.0.2.9/", ""},
		"never for loopback":       {outbound.Options{HTTPSProxy: "http://p.test:3128"}, "https://127.0.0.1/", ""},
		"SOCKS":                    {outbound.Options{HTTPSProxy: "socks5://p.test:1080"}, "https://api.test/", "socks5://p.test:1080"},
		"everything is excepted":   {outbound.Options{HTTPSProxy: "http://p.test:3128", NoProxy: "*"}, "https://api.test/", ""},
		"the other one's for http": {outbound.Options{HTTPProxy: "http://q.test:3128"}, "http://api.test/", "http://q.test:3128"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := network(t, tt.options).ProxyFor(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			text := ""
			if got != nil {
				text = got.String()
			}
			if text != tt.want {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
	if _, err := network(t, outbound.Options{}).ProxyFor("://hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]outbound.Options{
		"a proxy without host":        {HTTPSProxy: "http://"},
		"a proxy that is no URL":      {HTTPProxy: "http://u:hunter2@[::1"},
		"a proxy of another protocol": {HTTPProxy: "ftp://u:hunter2@p.test"},
		"no CA file":                  {CAFile: filepath.Join(t.TempDir(), "gone.pem")},
		"a CA file without any":       {CAFile: empty},
		"a user agent of two lines":   {UserAgent: "a\nb"},
	}
	for name, options := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := outbound.New(options)
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheClientCarriesTheNetworksSettings(t *testing.T) {
	t.Parallel()
	ca := outboundtest.NewCA(t)
	var agents sync.Map
	server := quiet(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { agents.Store(r.URL.Path, r.Header.Get("User-Agent")) }))
	server.TLS = ca.Config(t, outboundtest.Valid(), "127.0.0.1")
	server.StartTLS()
	defer server.Close()
	n := network(t, outbound.Options{CAFile: ca.File, UserAgent: "windsock/1"})
	for path, given := range map[string]string{"/default": "", "/own": "mine/1"} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if given != "" {
			req.Header.Set("User-Agent", given)
		}
		resp, err := n.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		want := "windsock/1"
		if given != "" {
			want = given
		}
		if got, _ := agents.Load(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if got := n.TLSConfig(); got.MinVersion != 0x0303 || got.RootCAs == nil || got.InsecureSkipVerify {
		t.Errorf("TLS: %+v", got)
	}
	n.Client().CloseIdleConnections()
}
