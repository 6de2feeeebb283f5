package egress

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	forbidPatience = 3 * time.Second // how long a forbidden address may stay silent until it passes
	forbidProof    = time.Second     // silence for less than this proves nothing
)

// forbid tries one TCP connect, past our own address guard. Nothing is sent.
func (e *Egress) forbid(ctx context.Context, address string) finding {
	f := finding{name: address}
	f.problem = e.forbidden(ctx, address)
	step := checks.Step{Name: "forbid", OK: f.problem == nil, Detail: address + ": not reachable"}
	if f.problem != nil {
		step.Detail = address + ": " + f.problem.text
	}
	f.steps = []checks.Step{step}
	if f.problem == nil || f.problem.status == checks.Failed {
		f.measurements = []checks.Measurement{
			{Name: "probe.egress.reachable", Value: bit(f.problem != nil), Attrs: map[string]string{"host": address}},
		}
	}
	return f
}

func (e *Egress) forbidden(ctx context.Context, address string) *problem {
	if ctx.Err() != nil {
		return unknown(checks.CauseInternal, "there was no time to try it")
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, forbidPatience)
	defer cancel()
	conn, err := e.net.DialUnguarded(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close()
		return failed(checks.CauseAssertion, "reachable, though it is forbidden")
	}
	if p := ours(ctx, err); p != nil {
		return p
	}
	var lookup *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return unknown(checks.CauseInternal, "this host has no address or port to try it from")
	case forbiddenByHost(err):
		return unknown(checks.CauseConfig, "this host's firewall or sandbox refused the attempt, so nothing was tried")
	case errors.As(err, &lookup):
		return unknown(checks.CauseDNS, "the name does not resolve, so nothing was tried")
	case timedOut(ctx, err) && time.Since(start) < forbidProof:
		return unknown(checks.CauseTimeoutConnect, "there was too little time to tell silence from slowness")
	}
	return nil
}

// refer connects to the reference host the way the others are connected to.
func (e *Egress) refer(ctx context.Context) finding {
	host, port, err := net.SplitHostPort(e.params.Reference)
	if err != nil {
		return finding{name: e.params.Reference}
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return finding{name: e.params.Reference}
	}
	plain := false
	f := e.probe(ctx, Host{Name: "reference " + e.params.Reference, Host: host, Port: n, TLS: &plain})
	f.measurements = nil
	return f
}
