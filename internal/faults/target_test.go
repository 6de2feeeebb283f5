package faults_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// providers is the configuration of one free check for each base URL.
func providers(w *world, urls map[string]string) string {
	var p, c strings.Builder
	for name, url := range urls {
		fmt.Fprintf(&p, "  %s: {base_url: %q, api_key: {env: KEY}}\n", name, url)
		fmt.Fprintf(&c, "  - {name: %s, kind: models, provider: %s, schedule: \"@every 1s\", timeout: 900ms, run_at_start: true, with: {}}\n", name, name)
	}
	return fmt.Sprintf("listen: %s\ngrace: 3s\nproviders:\n%schecks:\n%sexporters: [{name: lines, kind: stdout, with: {format: json}}]\n", w.Listen, p.String(), c.String())
}

// TestFault08AHungTargetIsATimeoutAndHoldsUpNobodyElse hangs at each stage of an exchange.
func TestFault08AHungTargetIsATimeoutAndHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hang := func(first string) string {
		return "http://" + outboundtest.Raw(t, func(c net.Conn, done <-chan struct{}) {
			if first != "" {
				_, _ = c.Read(make([]byte, 4096)) // who answers before he is asked is another fault
				_, _ = io.WriteString(c, first)
			}
			<-done
		})
	}
	urls := map[string]string{
		"accept": "http://" + outboundtest.Blackhole(t),
		"tls":    strings.Replace(hang(""), "http:", "https:", 1),
		"header": hang(""),
		"body":   hang("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"),
		"well":   "http://" + w.api,
	}
	w.Write(providers(w, urls))
	p := w.Start()
	w.UntilReady()
	want := map[string]checks.Cause{
		"accept": checks.CauseTimeoutConnect, "tls": checks.CauseTLS, "header": checks.CauseTimeout, "body": checks.CauseTimeout,
	}
	for name, cause := range want {
		w.verdict(t, name, checks.Failed, cause)
	}
	w.verdict(t, "well", checks.OK, checks.CauseNone)
	h := w.Health()
	if h.Schedule.Abandoned != 0 || len(h.Schedule.Overdue) != 0 || h.Schedule.Running > len(urls) {
		t.Errorf("schedule %+v, want nothing abandoned, nothing overdue", h.Schedule)
	}
	if code, _ := w.Page("/livez"); code != 200 {
		t.Errorf("/livez says %d", code)
	}
	p.Stop()
}

// TestFault15ASlowOrStalledStreamIsCutAtItsBound: one byte at a time, and silence within a stream.
func TestFault15ASlowOrStalledStreamIsCutAtItsBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t)
	two := 2
	w.apply(t, simulator.Fault{Route: "chat", SlowLoris: 10 * time.Second}, simulator.Fault{Route: "models", SlowLoris: 10 * time.Second})
	w.verdict(t, "chat", checks.Failed, checks.CauseTimeout, checks.CauseStreamStalled)
	w.verdict(t, "models", checks.Failed, checks.CauseTimeout)
	w.apply(t, simulator.Fault{Route: "chat", StallAfter: &two})
	r := w.verdict(t, "chat", checks.Failed, checks.CauseStreamStalled, checks.CauseTimeout)
	if r.Took > 10*time.Second {
		t.Errorf("took %s, its timeout is 900ms", r.Took)
	}
	w.heals(t)
	p.Stop()
}

// bounded runs one fault of the target after the other and wants its verdict, memory within bounds, and health afterwards.
func bounded(t *testing.T, cause checks.Cause, faults ...simulator.Fault) {
	t.Helper()
	w := newWorld(t)
	p := w.start(t)
	w.heals(t)
	before, err := p.Peak()
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		w.apply(t, fault)
		for range 2 {
			w.inTime(t, "models", cause)
			w.inTime(t, "chat", cause)
		}
	}
	after, err := p.Peak()
	if err != nil {
		t.Fatal(err)
	}
	const most = 64 << 20
	if after-before > most {
		t.Errorf("resident memory went from %d MiB to %d MiB", before>>20, after>>20)
	}
	w.heals(t)
	p.Stop()
}

func TestFault16ABodyWithoutEndIsTooLarge(t *testing.T) {
	t.Parallel()
	bounded(t, checks.CauseResponseTooLarge, simulator.Fault{HugeBody: 1 << 30})
}

func TestFault17AGzipBombIsTooLarge(t *testing.T) {
	t.Parallel()
	bounded(t, checks.CauseResponseTooLarge, simulator.Fault{GzipBomb: 256 << 20})
}

func TestFault18AnAnswerThatIsNoneIsMalformed(t *testing.T) {
	t.Parallel()
	bounded(t, checks.CauseMalformed, simulator.Fault{Status: 200, Body: "garbage"}, simulator.Fault{Status: 200, Body: "invalid_utf8"},
		simulator.Fault{Body: "not_json_200"})
}

func TestFault19ARedirectIsAVerdictAndTheKeyStaysHere(t *testing.T) {
	t.Parallel()
	elsewhere := outboundtest.Raw(t, func(c net.Conn, _ <-chan struct{}) {
		t.Error("somebody followed the redirect")
		_ = c.Close()
	})
	bounded(t, checks.CauseUnexpectedRedirect, simulator.Fault{Redirect: "http://" + elsewhere + "/v1/models"},
		simulator.Fault{Status: 302, Redirect: "https://" + elsewhere + "/"})
}

// TestFault13WhatIsNotReachedHasItsReason: refused, reset and swallowed connections, and an address without a route.
func TestFault13WhatIsNotReachedHasItsReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Write(providers(w, map[string]string{
		"refused":     "http://" + outboundtest.Refused(t),
		"swallowed":   "http://" + outboundtest.Blackhole(t),
		"unreachable": "http://224.0.0.1:443",
		"reset": "http://" + outboundtest.Raw(t, func(c net.Conn, _ <-chan struct{}) {
			_, _ = c.Read(make([]byte, 4096))
			outboundtest.Reset(c)
		}),
	}))
	p := w.Start()
	w.UntilReady()
	for _, name := range []string{"refused", "unreachable", "reset"} {
		w.verdict(t, name, checks.Failed, checks.CauseConnect)
	}
	w.verdict(t, "swallowed", checks.Failed, checks.CauseTimeoutConnect)
	p.Stop()
}

// TestFault20EveryFaultOfACertificateHasItsReason is told by the agent; the reasons have their own test in the client.
func TestFault20EveryFaultOfACertificateHasItsReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, stranger := outboundtest.NewCA(t), outboundtest.NewCA(t)
	urls := map[string]string{
		"expired": secure(t, ca, outboundtest.Expired(), "127.0.0.1"),
		"early":   secure(t, ca, outboundtest.NotYetValid(), "127.0.0.1"),
		"other":   secure(t, ca, outboundtest.Valid(), "elsewhere.test"),
		"unknown": secure(t, stranger, outboundtest.Valid(), "127.0.0.1"),
		"sha1":    serveTLS(t, ca.SHA1(t, "127.0.0.1")),
		"plain":   "https://" + w.api,
	}
	w.Write(providers(w, urls) + "network: {ca_file: " + ca.File + "}\n")
	p := w.Start()
	w.UntilReady()
	for name := range urls {
		r := w.verdict(t, name, checks.Failed, checks.CauseTLS)
		if r.Blame != checks.BlameNetwork {
			t.Errorf("%s: blame %s, want network", name, r.Blame)
		}
	}
	p.Stop()
}

// TestFault24NamesFromTheServerDoNotMultiplySeries: the provider invents a new model with every answer.
func TestFault24NamesFromTheServerDoNotMultiplySeries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	invented := newInventor(t)
	w.Write(fmt.Sprintf(`
listen: %s
grace: 3s
providers: {mistral: {base_url: "http://%s", api_key: {env: KEY}, breaker: {failures: 1000, reset: 60s}}}
checks:
  - {name: models, kind: models, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {}}
  - {name: chat, kind: chat, schedule: "@every 1s", timeout: 900ms, run_at_start: true, with: {model: mistral-small-latest, stream: false}}
exporters:
  - {name: lines, kind: stdout, with: {format: json}}
  - {name: scrape, kind: prometheus, with: {max_series: 40}}
`, w.Listen, invented.address))
	p := w.Start()
	w.UntilReady()
	w.Until("a few runs of each check", func() bool { return len(w.Of("models")) >= 4 && len(w.Of("chat")) >= 4 })
	_, page := w.Page("/metrics")
	series, largest := 0, 0
	count := map[string]int{}
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series++
		name, _, _ := strings.Cut(line, "{")
		name, _, _ = strings.Cut(name, " ")
		count[name]++
		largest = max(largest, count[name])
		if strings.Contains(line, "request-") || strings.Contains(line, "says no") {
			t.Errorf("free text of the server in a label: %s", line)
		}
	}
	const most = 40 * 20 // a histogram has a line for each bucket
	if series == 0 || largest > most {
		t.Errorf("%d series, %d of one metric, want at most %d", series, largest, most)
	}
	if n := len(invented.names()); n < 200 {
		t.Errorf("the server invented %d models only", n)
	}
	p.Stop()
}

// TestFault25AddressesOfMetadataServicesAreRefused: in every spelling, before a byte is sent. Names that resolve to them
// are in TestTheGuardRefusesMetadataAddresses and, with a name server that changes its mind, in make test-faults.
func TestFault25AddressesOfMetadataServicesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Write(providers(w, map[string]string{
		"classic": "http://169.254.169.254", "mapped": "http://[::ffff:169.254.169.254]", "ipv6": "http://[fd00:ec2::254]",
		"alibaba": "http://100.100.100.200",
	}))
	p := w.Start()
	w.UntilReady()
	for _, name := range []string{"classic", "mapped", "ipv6", "alibaba"} {
		r := w.Next(name)
		if r.Status.Reached() || r.Cause != checks.CauseConfig || r.Blame != checks.BlameOurs {
			t.Errorf("%s: %s %s blame %s (%s), want our own configuration", name, r.Status, r.Cause, r.Blame, r.Summary)
		}
	}
	if code, _ := w.Page("/probe?target=http://169.254.169.254/"); code != 404 {
		t.Errorf("/probe?target= answers %d, want 404", code)
	}
	p.Stop()
}
