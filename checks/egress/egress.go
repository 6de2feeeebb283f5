// Package egress checks the way out: names resolve as expected, hosts can be connected to, certificates verify and last,
// and what must not be reachable is not. It asks for no key and costs nothing. It may not follow redirects or send
// anything to a forbidden address.
package egress

import (
	"context"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const doc = `Checks the way out: names resolve, hosts can be connected to, certificates verify and last, and what must not be reachable is not.
Each host may also be asked for one HTTP answer. Behind a proxy the connection is a CONNECT through it, and resolving the name is
then the proxy's business, unless resolver, families or expect_addresses are given. It is free.`

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Kind is the kind of check that this package is.
func Kind() checks.Kind { return checks.NewKind("egress", doc, Params{}, New) }

// Network is what the check needs of the agent's way out; *outbound.Network has it.
type Network interface {
	// DialContext connects directly, behind the address guard.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	// DialUnguarded connects directly, past the address guard.
	DialUnguarded(ctx context.Context, network, address string) (net.Conn, error)
	// ProxyFor is the proxy for a URL; nil where the way is direct.
	ProxyFor(rawURL string) (*url.URL, error)
	// TLSConfig holds the roots to verify against.
	TLSConfig() *tls.Config
}

// dressing is a Network that adds what every probe carries: the agent's name and a trace context.
type dressing interface{ Dress(header http.Header) }

// Egress is one check of the way out.
type Egress struct {
	params Params
	net    Network
}

// New builds the check. Without a network its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	e := &Egress{params: params}
	if env.Network == nil {
		return e, nil
	}
	n, ok := env.Network.(Network)
	if !ok {
		return nil, fmt.Errorf("the agent's network is a %T, which cannot dial", env.Network)
	}
	e.net = n
	return e, nil
}

// References implements checks.Referring.
func (e *Egress) References() []string {
	if e.params.Reference == "" {
		return nil
	}
	return []string{e.params.Reference}
}

// HostNames implements checks.Naming. A host with a resolver of its own is not among them.
func (e *Egress) HostNames() []string {
	var names []string
	for _, h := range e.params.Hosts {
		if h.Resolver == "" {
			names = append(names, h.Host)
		}
	}
	for _, address := range append(slices.Clone(e.params.Forbid), e.params.Reference) {
		if host, _, err := net.SplitHostPort(address); err == nil {
			names = append(names, host)
		}
	}
	return names
}

// finding is what became of one host, forbidden address or reference.
type finding struct {
	name         string
	problem      *problem // nil where all is well
	degraded     string   // why it is only just well
	steps        []checks.Step
	phases       []checks.Phase
	measurements []checks.Measurement
}

// Measures implements checks.Measuring: what the hosts are asked for.
func (e *Egress) Measures() []string {
	return []string{
		"probe.dns.answers", "probe.dns.lookup_time", "probe.egress.reachable", "probe.http.duration", "probe.http.status_code",
		"probe.ssl.earliest_cert_expiry",
	}
}

// Run probes everything at the same time. It ends a little before the deadline of ctx, so that a silent host is a result.
func (e *Egress) Run(ctx context.Context) (checks.Result, error) {
	if e.net == nil {
		return checks.Result{Cause: checks.CauseInternal}, errors.New("there is no network to probe with")
	}
	ctx, cancel := within(ctx)
	defer cancel()
	hosts := make([]finding, len(e.params.Hosts))
	forbidden := make([]finding, len(e.params.Forbid))
	var reference finding
	var wg sync.WaitGroup
	for i, h := range e.params.Hosts {
		wg.Go(func() { hosts[i] = e.probe(ctx, h) })
	}
	for i, address := range e.params.Forbid {
		wg.Go(func() { forbidden[i] = e.forbid(ctx, address) })
	}
	if e.params.Reference != "" {
		wg.Go(func() { reference = e.refer(ctx) })
	}
	wg.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return checks.Undetermined(checks.CauseInternal, "the run was cut short"), nil
	}
	return e.judge(hosts, forbidden, reference), nil
}

// within leaves a tenth of the time, half a second at most, for the judgement.
func within(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, time.Minute)
	}
	left := time.Until(end)
	return context.WithDeadline(ctx, end.Add(-min(left/10, 500*time.Millisecond)))
}

// judge makes one result: the first of the worst decides, the others are counted.
func (e *Egress) judge(hosts, forbidden []finding, reference finding) checks.Result {
	lost := reference.problem != nil && reference.problem.status == checks.Failed
	for i := range hosts {
		blame(hosts[i].problem, e.params.Reference != "", lost)
	}
	for i := range forbidden {
		if lost && forbidden[i].problem == nil {
			// When nothing can be reached, not reaching the forbidden is no news.
			forbidden[i].problem = unknown(checks.CauseConnect, "not reachable, and neither is the reference host")
			forbidden[i].problem.blame = checks.BlameLocal
			forbidden[i].measurements = nil
		}
	}
	all := append(append([]finding{}, hosts...), forbidden...)
	r := verdict(all)
	if r.Status == checks.OK {
		r.Summary = goodNews(len(hosts), len(forbidden))
	}
	for _, f := range all {
		r.Evidence = append(r.Evidence, f.steps...)
		r.Measurements = append(r.Measurements, f.measurements...)
	}
	r.Evidence = append(r.Evidence, reference.steps...)
	return r
}

// blame tells "our network" from "theirs" where a reference host can.
func blame(p *problem, asked, lost bool) {
	if p == nil || !asked || p.blame != checks.BlameNone || p.status != checks.Failed {
		return
	}
	notReached := []checks.Cause{checks.CauseDNS, checks.CauseConnect, checks.CauseTimeoutConnect, checks.CauseProxy}
	switch {
	case !slices.Contains(notReached, p.cause): // the other side is there
	case lost:
		p.blame = checks.BlameLocal
	default:
		p.blame = checks.BlameNetwork
	}
}

func verdict(all []finding) checks.Result {
	for _, status := range []checks.Status{checks.Failed, checks.Unknown, checks.Degraded} {
		var first *finding
		others := 0
		for i := range all {
			switch {
			case all[i].status() != status:
			case first == nil:
				first = &all[i]
			default:
				others++
			}
		}
		if first != nil {
			return first.result(status, others)
		}
	}
	r := checks.Result{Status: checks.OK}
	if len(all) > 0 {
		r.Phases = all[0].phases
	}
	return r
}

func (f *finding) status() checks.Status {
	switch {
	case f.problem != nil:
		return f.problem.status
	case f.degraded != "":
		return checks.Degraded
	}
	return checks.OK
}

func (f *finding) result(status checks.Status, others int) checks.Result {
	r := checks.Result{Status: status, Cause: checks.CauseTLS, Summary: f.name + ": " + f.degraded, Phases: f.phases}
	if f.problem != nil {
		r.Cause, r.Blame, r.Summary = f.problem.cause, f.problem.blame, f.name+": "+f.problem.text
	}
	if others > 0 {
		r.Summary += fmt.Sprintf(" (and %d more %s)", others, status)
	}
	return r
}

func goodNews(hosts, forbidden int) string {
	var parts []string
	if hosts > 0 {
		parts = append(parts, plural(hosts, "host")+" reachable")
	}
	if forbidden > 0 {
		parts = append(parts, plural(forbidden, "forbidden address")+" not reachable")
	}
	return strings.Join(parts, ", ")
}

func plural(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "s"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
