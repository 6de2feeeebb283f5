//go:build faults

package faults_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/agenttest"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
	"github.com/windsock-monitor/windsock/internal/simulator"
)

// needs fails the test, by name, where the machine lacks what it takes. It never skips.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root: network namespaces, mounts and other users")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("needs %s: %v", program, err)
		}
	}
}

// do runs a command that must work.
func do(t *testing.T, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// namespaces counts the network namespaces of this process.
//
//nolint:gochecknoglobals // tests run at the same time, and addresses must not be the same
var namespaces atomic.Int32

// network is a network of two: a namespace for the agent, and the test at the other end of its only wire.
type network struct {
	name      string
	here, dev string // our end
	there     string // the agent's
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	needs(t, "ip", "iptables")
	i := namespaces.Add(1)
	n := &network{
		name: fmt.Sprintf("windsock-%d-%d", os.Getpid(), i), dev: fmt.Sprintf("ws%d.%d", os.Getpid()%100000, i),
		here: fmt.Sprintf("10.213.%d.1", i), there: fmt.Sprintf("10.213.%d.2", i),
	}
	do(t, "ip", "netns", "add", n.name)
	t.Cleanup(func() {
		do(t, "ip", "netns", "del", n.name)
		_ = os.RemoveAll("/etc/netns/" + n.name)
	})
	do(t, "ip", "link", "add", n.dev, "type", "veth", "peer", "name", "wire", "netns", n.name)
	do(t, "ip", "addr", "add", n.here+"/24", "dev", n.dev)
	do(t, "ip", "link", "set", n.dev, "up")
	n.inside(t, "ip", "addr", "add", n.there+"/24", "dev", "wire")
	n.inside(t, "ip", "link", "set", "wire", "up")
	n.inside(t, "ip", "link", "set", "lo", "up")
	n.inside(t, "ip", "route", "add", "default", "via", n.here)
	n.resolv(t, "nameserver "+n.here+"\n")
	return n
}

// resolv is the agent's /etc/resolv.conf.
func (n *network) resolv(t *testing.T, text string) {
	t.Helper()
	dir := "/etc/netns/" + n.name
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inside runs a command in the agent's namespace.
func (n *network) inside(t *testing.T, argv ...string) {
	t.Helper()
	do(t, append([]string{"ip", "netns", "exec", n.name}, argv...)...)
}

// rule puts one rule of the firewall in the place of the one before.
func (n *network) rule(t *testing.T, rule string) {
	t.Helper()
	n.inside(t, "iptables", "-F")
	if rule != "" {
		n.inside(t, append([]string{"iptables", "-A"}, strings.Fields(rule)...)...)
	}
}

// names is a DNS server at our end whose behaviour can be changed.
type names struct {
	handle atomic.Pointer[dns.HandlerFunc]
}

func (n *network) names(t *testing.T) *names {
	t.Helper()
	packets, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", n.here+":53")
	if err != nil {
		t.Fatal(err)
	}
	s := &names{}
	s.become(outboundtest.Address(n.here))
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) { (*s.handle.Load())(w, m) })}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = packets.Close(); <-ended })
	return s
}

func (s *names) become(handle dns.HandlerFunc) { s.handle.Store(&handle) }

// inNetwork is a world whose agent reaches its API by a name, over the wire.
func inNetwork(t *testing.T) (*world, *network, *names) {
	t.Helper()
	n := newNetwork(t)
	w := &world{Host: agenttest.NewHost(t, binary), collector: agenttest.NewCollector()}
	w.sim, w.api = agenttest.Simulator(t, n.here+":0", simulator.Options{Seed: 1, Speed: 100})
	_, port, _ := net.SplitHostPort(w.api)
	w.api = "api.test.:" + port
	w.Listen = n.there + ":9188"
	return w, n, n.names(t)
}

func (n *network) start(w *world) *agenttest.Process {
	p := w.Start("ip", "netns", "exec", n.name)
	w.UntilReady()
	return p
}

// TestFault12WhatDNSCanDoIsAFailureOfDNS: a swallowed question, a swallowed answer, no such name, a server that fails, an
// answer after five seconds. Each within the timeout of the check, and all is well afterwards.
func TestFault12WhatDNSCanDoIsAFailureOfDNS(t *testing.T) {
	t.Parallel()
	w, n, server := inNetwork(t)
	w.Write(w.config("", ""))
	p := n.start(w)
	good := outboundtest.Address(n.here)
	w.heals(t)
	for name, handle := range map[string]dns.HandlerFunc{
		"NXDOMAIN": outboundtest.Answer(dns.RcodeNameError), "SERVFAIL": outboundtest.Answer(dns.RcodeServerFailure),
		"silence": outboundtest.Silence, "refused": outboundtest.Answer(dns.RcodeRefused),
		"five seconds": func(dw dns.ResponseWriter, m *dns.Msg) { pause(5 * time.Second); good(dw, m) },
	} {
		server.become(handle)
		for _, check := range []string{"models", "chat"} {
			r := w.Next(check)
			if r.Status != checks.Failed || r.Cause != checks.CauseDNS || r.Blame != checks.BlameNetwork || r.Took > 5*time.Second {
				t.Errorf("%s: %s is %s %s, blame %s, after %s (%s); want failed dns network", name, check, r.Status, r.Cause, r.Blame, r.Took, r.Summary)
			}
		}
		server.become(good)
		w.heals(t)
	}
	n.rule(t, "INPUT -p udp --sport 53 -j DROP")
	w.verdict(t, "models", checks.Failed, checks.CauseDNS)
	n.rule(t, "")
	w.heals(t)
	p.Stop()
}

// TestFault13EveryBrokenWireHasItsReason: what firewalls and routers do to a connection.
func TestFault13EveryBrokenWireHasItsReason(t *testing.T) {
	t.Parallel()
	w, n, _ := inNetwork(t)
	w.Write(w.config("", ""))
	p := n.start(w)
	w.heals(t)
	_, port, _ := net.SplitHostPort(w.api)
	for _, fault := range []struct {
		rule  string
		cause checks.Cause
	}{
		{"INPUT -p tcp --sport " + port + " -j DROP", checks.CauseTimeoutConnect},
		{"OUTPUT -p tcp --dport " + port + " -j REJECT --reject-with tcp-reset", checks.CauseConnect},
		{"OUTPUT -p tcp --dport " + port + " -j REJECT --reject-with icmp-host-unreachable", checks.CauseConnect},
	} {
		n.rule(t, fault.rule)
		r := w.verdict(t, "models", checks.Failed, fault.cause)
		if r.Blame != checks.BlameNetwork {
			t.Errorf("%s: blame %s, want network", fault.rule, r.Blame)
		}
		w.verdict(t, "chat", checks.Failed, fault.cause)
	}
	n.rule(t, "OUTPUT -p tcp --dport "+port+" -j DROP")
	w.verdict(t, "models", checks.Failed, checks.CauseTimeoutConnect)
	n.rule(t, "")
	w.heals(t)
	n.inside(t, "ip", "link", "set", "wire", "down")
	w.Until("the wire to be missed", func() bool {
		all := w.Of("models")
		last := all[len(all)-1]
		return last.Status == checks.Failed && last.Blame == checks.BlameNetwork
	})
	n.inside(t, "ip", "link", "set", "wire", "up")
	n.inside(t, "ip", "route", "replace", "default", "via", n.here)
	w.heals(t)
	p.Stop()
}

// TestFault25ANameThatTurnsIntoAMetadataAddressIsRefused: the name server answers with the API's address while the agent
// starts, and with the cloud's afterwards.
func TestFault25ANameThatTurnsIntoAMetadataAddressIsRefused(t *testing.T) {
	t.Parallel()
	w, n, server := inNetwork(t)
	n.inside(t, "ip", "addr", "add", "169.254.169.254/32", "dev", "lo") // what is there is the test's
	w.Write(w.config("", ""))
	p := n.start(w)
	w.heals(t)
	server.become(outboundtest.Address("169.254.169.254"))
	for _, check := range []string{"models", "chat"} {
		r := w.Next(check)
		if r.Status.Reached() || r.Cause != checks.CauseConfig {
			t.Errorf("%s is %s %s (%s), want it refused", check, r.Status, r.Cause, r.Summary)
		}
	}
	server.become(outboundtest.Address(n.here))
	w.heals(t)
	p.Stop()
}

// TestFault31ABareHostStartsReportsAndHeals: no network, an empty resolv.conf, no time zones, no authorities, nothing that
// can be written but the state directory.
func TestFault31ABareHostStartsReportsAndHeals(t *testing.T) {
	t.Parallel()
	needs(t, "ip", "unshare", "mount", "chroot")
	w, n, _ := inNetwork(t)
	n.resolv(t, "")
	n.inside(t, "ip", "link", "set", "wire", "down")
	root := filepath.Join(w.Dir, "root")
	for _, dir := range []string{"state", "etc", "proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Replace(w.config("", ""), "schedule: \"@every 1s\"", "schedule: \"* * * * * *\", timezone: Europe/Paris", 1)
	text = strings.Replace(text, `base_url: "http://`+w.api+`"`, `base_url: "http://`+strings.Replace(w.api, "api.test.", n.here, 1)+`"`, 1)
	text = strings.Replace(text, "exporters:\n", `  - {name: named, kind: egress, schedule: "@every 1s", timeout: 900ms, with: {hosts: [{host: api.test., port: 443}]}}
exporters:
`, 1)
	w.Write(text)
	do(t, "cp", w.Config, binary, root+"/")
	do(t, "chmod", "0755", root+"/"+filepath.Base(binary))
	script := `set -e
mount --bind "$1" "$1"
mount --bind "$1/state" "$1/state"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/dev"
: > "$1/dev/null"; mount --bind /dev/null "$1/dev/null"
: > "$1/etc/resolv.conf" || true
mount -o remount,bind,ro "$1"
exec chroot "$1" /windsock run --config /schedules.yaml`
	w.State = "/state"
	p := w.Start("ip", "netns", "exec", n.name, "unshare", "--mount", "sh", "-c", script, "bare", root)
	w.Until("results without a network", func() bool { return len(w.Of("models")) > 1 && len(w.Of("chat")) > 1 && len(w.Of("named")) > 1 })
	for _, r := range append(w.Of("models"), w.Of("chat")...) {
		if r.Status != checks.Failed || r.Blame != checks.BlameNetwork {
			t.Errorf("%s is %s %s, blame %s (%s); want failed, network", r.Check, r.Status, r.Cause, r.Blame, r.Summary)
		}
	}
	for _, r := range w.Of("named") {
		if r.Status == checks.OK || r.Cause != checks.CauseDNS && r.Cause != checks.CauseConnect {
			t.Errorf("a name without a resolver is %s %s (%s)", r.Status, r.Cause, r.Summary)
		}
	}
	n.inside(t, "ip", "link", "set", "wire", "up")
	n.inside(t, "ip", "route", "replace", "default", "via", n.here)
	w.heals(t)
	w.UntilReady()
	if h := w.Health(); !h.Store.OK {
		t.Errorf("the store: %+v", h.Store)
	}
	if code := p.End(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
