package egress_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/egress"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const day = 24 * time.Hour

// run builds and runs the check, and holds its result to the rules of every check.
func run(t *testing.T, params string, n egress.Network) checks.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return runWithin(ctx, t, params, n)
}

func runWithin(ctx context.Context, t *testing.T, params string, n egress.Network) checks.Result {
	t.Helper()
	check, err := egress.Kind().New(checktest.Decoder(params, ""), checks.Env{Network: n})
	if err != nil {
		t.Fatalf("building: %v", err)
	}
	r, err := check.Run(ctx)
	if err != nil {
		t.Fatalf("running: %v", err)
	}
	if err := checktest.Valid(r); err != nil {
		t.Errorf("not valid: %v", err)
	}
	for _, m := range r.Measurements {
		if row, ok := exporters.Lookup(m.Name); !ok || row.Unit != m.Unit || !slices.Equal(slices.Collect(maps.Keys(m.Attrs)), row.Attrs) {
			t.Errorf("%s with unit %q and %v, want a row of the catalogue: %+v", m.Name, m.Unit, m.Attrs, row)
		}
	}
	return r
}

type want struct {
	status checks.Status
	cause  checks.Cause
	blame  checks.Blame
	says   string
}

func expect(t *testing.T, r checks.Result, w want) {
	t.Helper()
	if r.Status != w.status || r.Cause != w.cause || r.Blame != w.blame || !strings.Contains(r.Summary, w.says) {
		t.Errorf("%s %q blame %q: %q\nwant %s %q blame %q: …%s…\n%+v", r.Status, r.Cause, r.Blame, r.Summary, w.status, w.cause, w.blame, w.says, r.Evidence)
	}
}

func measured(r checks.Result, name, host string) (float64, bool) {
	for _, m := range r.Measurements {
		if m.Name == name && m.Attrs["host"] == host {
			return m.Value, true
		}
	}
	return 0, false
}

func TestTheKindPassesTheSuite(t *testing.T) {
	ca := newAuthority(t, "suite CA")
	file := ca.file(t)
	const key = "proxy-password-4711"
	checktest.Run(t, egress.Kind(), checktest.Options{
		Key: key,
		Good: func(t *testing.T) checktest.Case {
			t.Helper()
			port := listen(t, secure(ca.issue(t, 90*day, "localhost"), silent))
			return checktest.Case{
				Params: fmt.Sprintf("hosts: [{host: localhost, port: %d}]\nforbid: ['127.0.0.1:%d']\nreference: 127.0.0.1:%d\n", port, refusedPort(t), port),
				Env:    checks.Env{Network: network(t, outbound.Options{CAFile: file})},
			}
		},
		Absent: func(t *testing.T) checktest.Case {
			t.Helper()
			proxy := fmt.Sprintf("http://user:%s@127.0.0.1:%d", key, refusedPort(t))
			return checktest.Case{
				Params: "hosts: [{host: target.example}]",
				Env:    checks.Env{Network: network(t, outbound.Options{HTTPSProxy: proxy})},
			}
		},
		Hung: func(t *testing.T) checktest.Case {
			t.Helper()
			reached := make(chan struct{})
			var once atomic.Bool
			port := listen(t, func(c net.Conn) {
				if once.CompareAndSwap(false, true) {
					close(reached)
				}
				silent(c)
			})
			return checktest.Case{
				Params: fmt.Sprintf("hosts: [{host: 127.0.0.1, port: %d}]", port),
				Env:    checks.Env{Network: network(t, outbound.Options{})}, Reached: reached,
			}
		},
		Refused: map[string]string{
			"nothing to do":                 "",
			"a host with a scheme":          "hosts: [{host: 'https://a.example'}]",
			"no host":                       "hosts: [{port: 443}]",
			"a port out of range":           "hosts: [{host: a.example, port: 70000}]",
			"a resolver by name":            "hosts: [{host: a.example, resolver: dns.example}]",
			"an unknown family":             "hosts: [{host: a.example, families: [MX]}]",
			"an address that is none":       "hosts: [{host: a.example, expect_addresses: [10.0.0.0/33]}]",
			"the same host twice":           "hosts: [{host: a.example}, {host: a.example}]",
			"a name without TLS":            "hosts: [{host: a.example, tls: false, server_name: b.example}]",
			"a path with a space":           "hosts: [{host: a.example, http: {path: '/a b'}}]",
			"a path that is none":           "hosts: [{host: a.example, http: {path: 'a'}}]",
			"a status that is none":         "hosts: [{host: a.example, http: {status: 99}}]",
			"negative days":                 "hosts: [{host: a.example, min_days: -1}]",
			"a forbidden host without port": "forbid: [a.example]",
			"a forbidden host twice":        "forbid: ['a.example:1', 'a.example:1']",
			"a reference without port":      "forbid: ['a.example:1']\nreference: b.example",
			"too many hosts":                "hosts: [" + strings.Repeat("{host: a.example},", 33) + "]",
			"a negative port":               "hosts: [{host: a.example, port: -1}]",
		},
	})
}

func TestTheExampleDecodes(t *testing.T) {
	t.Parallel()
	if err := egress.Kind().Validate(checktest.Decoder(egress.Example(), "")); err != nil {
		t.Error(err)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t, "our CA"), newAuthority(t, "a stranger")
	n := network(t, outbound.Options{CAFile: ca.file(t)})
	for name, tc := range map[string]struct {
		serve func(net.Conn)
		more  string
		want  want
	}{
		"90 days left are well":            {serve: secure(ca.issue(t, 90*day, "127.0.0.1"), silent), want: want{status: checks.OK, says: "1 host reachable"}},
		"3 days left are degraded":         {serve: secure(ca.issue(t, 3*day+time.Hour, "127.0.0.1"), silent), want: want{checks.Degraded, checks.CauseTLS, "", "expires in 3 days, want at least 14"}},
		"3 days left may be enough":        {serve: secure(ca.issue(t, 3*day+time.Hour, "127.0.0.1"), silent), more: ", min_days: 2", want: want{status: checks.OK}},
		"an expired certificate":           {serve: secure(ca.issue(t, -time.Hour, "127.0.0.1"), silent), want: want{checks.Failed, checks.CauseTLS, "", "expired"}},
		"a certificate for another host":   {serve: secure(ca.issue(t, 90*day, "other.example"), silent), want: want{checks.Failed, checks.CauseTLS, "", "not for 127.0.0.1"}},
		"another name that was asked for":  {serve: secure(ca.issue(t, 90*day, "other.example"), silent), more: ", server_name: other.example", want: want{status: checks.OK}},
		"an unknown authority":             {serve: secure(stranger.issue(t, 90*day, "127.0.0.1"), silent), want: want{checks.Failed, checks.CauseTLS, "", "unknown authority"}},
		"no TLS at all":                    {serve: func(c net.Conn) { _, _ = c.Write([]byte("220 mail.example ESMTP\r\n")); silent(c) }, want: want{checks.Failed, checks.CauseTLS, "", "does not speak TLS"}},
		"a door that is shut at once":      {serve: func(net.Conn) {}, want: want{checks.Failed, checks.CauseTLS, "", "closed during the handshake"}},
		"no TLS where none is wanted":      {serve: silent, more: ", tls: false", want: want{status: checks.OK}},
		"HTTP with the status that we ask": {serve: secure(ca.issue(t, 90*day, "127.0.0.1"), answering(401, nil)), more: ", http: {path: /v1/models, status: 401}", want: want{status: checks.OK}},
		"HTTP with any status":             {serve: secure(ca.issue(t, 90*day, "127.0.0.1"), answering(302, nil)), more: ", http: {}", want: want{status: checks.OK}},
		"HTTP with another status":         {serve: answering(500, nil), more: ", tls: false, http: {status: 200}", want: want{checks.Failed, checks.CauseAssertion, "", "HTTP status 500, want 200"}},
		"something that is not HTTP":       {serve: func(c net.Conn) { _, _ = c.Write([]byte("220 mail.example ESMTP\r\n")); silent(c) }, more: ", tls: false, http: {}", want: want{checks.Failed, checks.CauseMalformed, "", "not HTTP"}},
		"a header without end": {serve: func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)))
			silent(c)
		}, more: ", tls: false, http: {}", want: want{checks.Failed, checks.CauseConnect, "", "closed before"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, fmt.Sprintf("hosts: [{name: h, host: 127.0.0.1, port: %d%s}]", listen(t, tc.serve), tc.more), n)
			expect(t, r, tc.want)
			reachable, _ := measured(r, "probe.egress.reachable", "h")
			if wanted := r.Status != checks.Failed; (reachable == 1) != wanted {
				t.Errorf("probe.egress.reachable %v for %s", reachable, r.Status)
			}
		})
	}
}

func TestTheExpiryIsMeasuredWhateverTheVerdict(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "our CA")
	n := network(t, outbound.Options{CAFile: ca.file(t)})
	for name, left := range map[string]time.Duration{"well": 90 * day, "expired": -time.Hour, "soon": 3 * day} {
		end := time.Now().Add(left).Unix()
		r := run(t, fmt.Sprintf("hosts: [{name: h, host: 127.0.0.1, port: %d}]", listen(t, secure(ca.issue(t, left, "127.0.0.1"), silent))), n)
		got, ok := measured(r, "probe.ssl.earliest_cert_expiry", "h")
		if !ok || int64(got) < end-5 || int64(got) > end+60 {
			t.Errorf("%s: expiry %v, want %d in Unix seconds", name, got, end)
		}
	}
}

func TestTheRequestIsPlainAndCarriesNoKey(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	port := listen(t, answering(200, func(r *http.Request) { seen <- r }))
	expect(t, run(t, fmt.Sprintf("hosts: [{host: localhost, port: %d, tls: false, http: {path: '/health?x=1'}}]", port), network(t, outbound.Options{UserAgent: "windsock/1.2.3 (synthetic)"})), want{status: checks.OK})
	r := <-seen
	if r.UserAgent() != "windsock/1.2.3 (synthetic)" || len(r.Header.Get("Traceparent")) != 55 {
		t.Errorf("asked as %q in the trace %q", r.UserAgent(), r.Header.Get("Traceparent"))
	}
	if r.Method != http.MethodGet || r.URL.String() != "/health?x=1" || !strings.HasPrefix(r.Host, "localhost:") || r.Header.Get("Authorization") != "" {
		t.Errorf("asked %s %s of %s with %v", r.Method, r.URL, r.Host, r.Header)
	}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	port := listen(t, silent)
	records := zone(t, map[string][]string{
		"one.example.": {"A 127.0.0.1"}, "two.example.": {"A 127.0.0.1", "AAAA ::1"}, "six.example.": {"AAAA ::1"},
		"alias.example.": {"CNAME one.example.", "A 127.0.0.1"}, "bare.example.": {}, "many.example.": {"A 127.0.0.2", "A 127.0.0.1"},
	})
	good := nameserver(t, records)
	broken := nameserver(t, func(w dns.ResponseWriter, query *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(query, dns.RcodeServerFailure))
	})
	cut := nameserver(t, func(w dns.ResponseWriter, query *dns.Msg) {
		if _, overTCP := w.RemoteAddr().(*net.TCPAddr); overTCP {
			records(w, query)
			return
		}
		answer := new(dns.Msg)
		answer.SetReply(query)
		answer.Truncated = true
		_ = w.WriteMsg(answer)
	})
	for name, tc := range map[string]struct {
		host, resolver, more string
		want                 want
	}{
		"a name that resolves":                {"one.example", good, "", want{status: checks.OK}},
		"an alias":                            {"alias.example", good, "", want{status: checks.OK}},
		"one family is enough by default":     {"one.example", good, "", want{status: checks.OK}},
		"each family that is named":           {"one.example", good, ", families: [A, AAAA]", want{checks.Failed, checks.CauseDNS, "", "no AAAA record"}},
		"both families":                       {"two.example", good, ", families: [A, AAAA]", want{status: checks.OK}},
		"only the other family":               {"six.example", good, ", families: [A]", want{checks.Failed, checks.CauseDNS, "", "no A record"}},
		"a name that does not exist":          {"no.example", good, "", want{checks.Failed, checks.CauseDNS, "", "NXDOMAIN"}},
		"a name without addresses":            {"bare.example", good, "", want{checks.Failed, checks.CauseDNS, "", "no A record"}},
		"a server that fails":                 {"one.example", broken, "", want{checks.Failed, checks.CauseDNS, "", "SERVFAIL"}},
		"an answer that was cut":              {"one.example", cut, "", want{status: checks.OK}},
		"a server that is not there":          {"one.example", fmt.Sprintf("127.0.0.1:%d", refusedPort(t)), "", want{checks.Failed, checks.CauseDNS, "", "failed"}},
		"the answer that was expected":        {"one.example", good, ", expect_addresses: [127.0.0.1]", want{status: checks.OK}},
		"an answer within the range":          {"two.example", good, ", expect_addresses: [127.0.0.0/8, '::1']", want{status: checks.OK}},
		"an answer out of the range":          {"one.example", good, ", expect_addresses: [10.0.0.0/8]", want{checks.Failed, checks.CauseAssertion, "", "127.0.0.1, which is not in expect_addresses"}},
		"the second address takes the call":   {"many.example", good, "", want{status: checks.OK}},
		"a name of the system's own resolver": {"localhost", "", "", want{status: checks.OK}},
		"an address needs no DNS":             {"127.0.0.1", "", ", expect_addresses: [127.0.0.1]", want{status: checks.OK}},
		"an address that was not expected":    {"127.0.0.1", "", ", expect_addresses: [10.0.0.1]", want{checks.Failed, checks.CauseAssertion, "", "127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resolver := ""
			if tc.resolver != "" {
				resolver = ", resolver: '" + tc.resolver + "'"
			}
			r := run(t, fmt.Sprintf("hosts: [{name: h, host: %s, port: %d, tls: false%s%s}]", tc.host, port, resolver, tc.more), network(t, outbound.Options{}))
			expect(t, r, tc.want)
			if _, timed := measured(r, "probe.dns.lookup_time", "h"); r.Status == checks.OK && timed != (tc.host != "127.0.0.1") {
				t.Errorf("lookup time measured: %v", timed)
			}
		})
	}
}

func TestASilentResolverIsAFailureOfDNS(t *testing.T) {
	t.Parallel()
	packet, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packet.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r := runWithin(ctx, t, fmt.Sprintf("hosts: [{host: a.example, resolver: '%s'}]", packet.LocalAddr()), network(t, outbound.Options{}))
	expect(t, r, want{checks.Failed, checks.CauseDNS, "", "no answer in time"})
}

func TestTheReferenceTellsOurNetworkFromTheirs(t *testing.T) {
	t.Parallel()
	up, down := listen(t, silent), refusedPort(t)
	for name, tc := range map[string]struct {
		reference int
		blame     checks.Blame
	}{
		"the reference works":     {up, checks.BlameNetwork},
		"the reference fails too": {refusedPort(t), checks.BlameLocal},
		"there is no reference":   {0, checks.BlameNone},
	} {
		params := fmt.Sprintf("hosts: [{host: 127.0.0.1, port: %d}, {host: 127.0.0.1, port: %d, tls: false}]", down, up)
		if tc.reference != 0 {
			params += fmt.Sprintf("\nreference: 127.0.0.1:%d", tc.reference)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, run(t, params, network(t, outbound.Options{})), want{checks.Failed, checks.CauseConnect, tc.blame, "connection refused"})
		})
	}
}

func TestTheFirstFailureDecidesAndTheOthersAreCounted(t *testing.T) {
	t.Parallel()
	up := listen(t, silent)
	params := fmt.Sprintf("hosts:\n- {name: fine, host: 127.0.0.1, port: %d, tls: false}\n- {name: first, host: 127.0.0.1, port: %d}\n- {name: second, host: 127.0.0.1, port: %d}\n- {name: third, host: 127.0.0.1, port: %d}\n",
		up, refusedPort(t), refusedPort(t), refusedPort(t))
	r := run(t, params, network(t, outbound.Options{}))
	expect(t, r, want{checks.Failed, checks.CauseConnect, "", "first: connection refused"})
	if !strings.HasSuffix(r.Summary, "(and 2 more failed)") {
		t.Errorf("summary %q, want the others counted", r.Summary)
	}
	for host, want := range map[string]float64{"fine": 1, "first": 0, "second": 0, "third": 0} {
		if got, ok := measured(r, "probe.egress.reachable", host); !ok || got != want {
			t.Errorf("%s reachable %v, want %v", host, got, want)
		}
	}
}

// faulty is a way out whose unguarded dials end in err.
type faulty struct {
	*outbound.Network
	err error
}

func (f faulty) DialUnguarded(context.Context, string, string) (net.Conn, error) { return nil, f.err }

func TestForbiddenAddresses(t *testing.T) {
	t.Parallel()
	n := network(t, outbound.Options{})
	quick := func(err error) egress.Network {
		return faulty{n, &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	open := fmt.Sprintf("127.0.0.1:%d", listen(t, silent))
	shut := fmt.Sprintf("127.0.0.1:%d", refusedPort(t))
	for name, tc := range map[string]struct {
		params string
		net    egress.Network
		want   want
	}{
		"reachable is a failure":          {"forbid: ['" + open + "']", n, want{checks.Failed, checks.CauseAssertion, "", "reachable, though it is forbidden"}},
		"refused passes":                  {"forbid: ['" + shut + "']", n, want{status: checks.OK, says: "1 forbidden address not reachable"}},
		"no route passes":                 {"forbid: ['192.0.2.1:80']", quick(syscall.ENETUNREACH), want{status: checks.OK}},
		"refused by our firewall":         {"forbid: ['192.0.2.1:80']", quick(syscall.EPERM), want{checks.Unknown, checks.CauseConfig, "", "nothing was tried"}},
		"refused by our sandbox":          {"forbid: ['192.0.2.1:80']", quick(syscall.EACCES), want{checks.Unknown, checks.CauseConfig, "", "nothing was tried"}},
		"refused by our guard":            {"forbid: ['192.0.2.1:80']", faulty{n, &outbound.Failure{Reason: "guard", Err: errors.New("guard")}}, want{checks.Unknown, checks.CauseConfig, "", "guard"}},
		"no descriptors":                  {"forbid: ['192.0.2.1:80']", quick(syscall.EMFILE), want{checks.Unknown, checks.CauseInternal, "", "descriptors"}},
		"no port of our own":              {"forbid: ['192.0.2.1:80']", quick(syscall.EADDRNOTAVAIL), want{checks.Unknown, checks.CauseInternal, "", "no address or port"}},
		"a name that does not resolve":    {"forbid: ['x.example:80']", quick(&net.DNSError{Err: "no such host", IsNotFound: true}), want{checks.Unknown, checks.CauseDNS, "", "does not resolve"}},
		"too little time to tell":         {"forbid: ['192.0.2.1:80']", quick(context.DeadlineExceeded), want{checks.Unknown, checks.CauseTimeoutConnect, "", "too little time"}},
		"a failure outranks an unknown":   {"forbid: ['" + open + "']\nhosts: [{host: 192.0.2.1}]", guarded{n}, want{checks.Failed, checks.CauseAssertion, "", "forbidden"}},
		"a host that our guard refuses":   {"hosts: [{host: 169.254.169.254, port: 80, tls: false}]", n, want{checks.Unknown, checks.CauseConfig, "", "guard"}},
		"no news where nothing goes":      {"forbid: ['" + shut + "']\nreference: " + shut, n, want{checks.Unknown, checks.CauseConnect, checks.BlameLocal, "neither is the reference"}},
		"news where the reference works":  {"forbid: ['" + shut + "']\nreference: " + open, n, want{status: checks.OK}},
		"our own firewall before a host":  {"hosts: [{host: 192.0.2.1}]", denied{n}, want{checks.Failed, checks.CauseConnect, checks.BlameLocal, "not permitted"}},
		"a forbidden name that we can go": {"forbid: ['localhost:" + strings.TrimPrefix(open, "127.0.0.1:") + "']", n, want{checks.Failed, checks.CauseAssertion, "", "localhost"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, tc.params, tc.net)
			expect(t, r, tc.want)
			if _, said := measured(r, "probe.egress.reachable", "192.0.2.1:80"); said && r.Status == checks.Unknown {
				t.Error("probe.egress.reachable has a value though nothing was tried")
			}
		})
	}
}

type guarded struct{ *outbound.Network }

func (guarded) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, &outbound.Failure{Cause: checks.CauseConfig, Reason: "guard", Err: errors.New("guard")}
}

type denied struct{ *outbound.Network }

func (denied) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Err: syscall.EPERM}
}

func TestNothingIsSentToAForbiddenAddress(t *testing.T) {
	t.Parallel()
	got := make(chan int, 1)
	port := listen(t, func(c net.Conn) {
		n, _ := c.Read(make([]byte, 16))
		got <- n
	})
	run(t, fmt.Sprintf("forbid: ['127.0.0.1:%d']", port), network(t, outbound.Options{}))
	if n := <-got; n != 0 {
		t.Errorf("%d bytes were sent, want none", n)
	}
}

func TestAWayOutThatCannotDialIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := egress.New(egress.Params{}, checks.Env{Network: 7}); err == nil {
		t.Error("a number was taken for a network")
	}
}

// bare is a way out without roots of its own and with a proxy that cannot be read.
type bare struct{ *outbound.Network }

func (bare) TLSConfig() *tls.Config            { return nil }
func (bare) ProxyFor(string) (*url.URL, error) { return nil, errors.New("no") }

func TestAProxyThatCannotBeReadIsOurFault(t *testing.T) {
	t.Parallel()
	expect(t, run(t, "hosts: [{host: a.example}]", bare{network(t, outbound.Options{})}), want{checks.Unknown, checks.CauseConfig, "", "proxy's address"})
}
