package egress_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

func TestProxies(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "our CA")
	target := listen(t, secure(ca.issue(t, 90*day, "target.example"), answering(200, nil)))
	file := ca.file(t)
	for name, tc := range map[string]struct {
		status int
		more   string
		want   want
	}{
		"CONNECT through the proxy":     {status: 200, more: ", http: {status: 200}", want: want{status: checks.OK}},
		"a proxy that wants a password": {status: 407, want: want{checks.Failed, checks.CauseProxy, "", "answered 407"}},
		"a proxy that cannot":           {status: 502, want: want{checks.Failed, checks.CauseProxy, "", "answered 502"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan *http.Request, 1)
			port := connectProxy(t, tc.status, target, func(r *http.Request) { seen <- r })
			n := network(t, outbound.Options{CAFile: file, HTTPSProxy: fmt.Sprintf("http://user:pass@127.0.0.1:%d", port)})
			r := run(t, "hosts: [{host: target.example"+tc.more+"}]", n)
			expect(t, r, tc.want)
			asked := <-seen
			if asked.Method != http.MethodConnect || asked.Host != "target.example:443" || asked.Header.Get("Proxy-Authorization") != "Basic dXNlcjpwYXNz" {
				t.Errorf("asked %s %s with %v", asked.Method, asked.Host, asked.Header)
			}
			if text := fmt.Sprint(r.Evidence); !strings.Contains(text, "left to the proxy") || strings.Contains(text, "pass") {
				t.Errorf("evidence %s, want the proxy named and its password left out", text)
			}
		})
	}
}

func TestAProxyThatIsNotThereIsTheProxysFault(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https", "socks5"} {
		n := network(t, outbound.Options{HTTPSProxy: fmt.Sprintf("%s://127.0.0.1:%d", scheme, refusedPort(t))})
		expect(t, run(t, "hosts: [{host: target.example}]", n), want{checks.Failed, checks.CauseProxy, "", "proxy 127.0.0.1"})
	}
}

func TestAProxyMayBeReachedOverTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "our CA")
	inner := listen(t, silent)
	plain := connectProxy(t, 200, inner, func(*http.Request) {})
	outer := listen(t, secure(ca.issue(t, 90*day, "127.0.0.1"), func(c net.Conn) { relay(c, plain) }))
	n := network(t, outbound.Options{CAFile: ca.file(t), HTTPProxy: fmt.Sprintf("https://127.0.0.1:%d", outer)})
	expect(t, run(t, "hosts: [{host: target.example, tls: false}]", n), want{status: checks.OK})
}

func relay(c net.Conn, port int) {
	target, err := new(net.Dialer).DialContext(context.Background(), "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return
	}
	defer func() { _ = target.Close() }()
	done := make(chan struct{})
	go func() { defer close(done); copyAll(target, c) }()
	copyAll(c, target)
	_ = c.Close()
	<-done
}

func copyAll(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

func TestTheAnswersAreJudgedBehindAProxyWhereTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	proxy := connectProxy(t, 200, listen(t, silent), func(*http.Request) {})
	n := network(t, outbound.Options{HTTPProxy: fmt.Sprintf("http://127.0.0.1:%d", proxy)})
	resolver := nameserver(t, zone(t, map[string][]string{"target.example.": {"A 192.0.2.9"}}))
	params := "hosts: [{host: target.example, tls: false, resolver: '" + resolver + "', expect_addresses: [%s]}]"
	expect(t, run(t, fmt.Sprintf(params, "192.0.2.0/24"), n), want{status: checks.OK})
	expect(t, run(t, fmt.Sprintf(params, "198.51.100.0/24"), n), want{checks.Failed, checks.CauseAssertion, "", "192.0.2.9"})
}
