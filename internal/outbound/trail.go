package outbound

import (
	"fmt"
	"slices"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Phases are the parts of an exchange that took time.
func (t Timings) Phases() []checks.Phase {
	all := []checks.Phase{
		{Name: checks.PhaseResolve, Took: t.Resolve},
		{Name: checks.PhaseConnect, Took: t.Connect},
		{Name: checks.PhaseTLS, Took: t.TLS},
		{Name: checks.PhaseFirstByte, Took: t.FirstByte},
	}
	if t.FirstByte > 0 {
		transfer := t.Total - t.Resolve - t.Connect - t.TLS - t.FirstByte
		all = append(all, checks.Phase{Name: checks.PhaseTransfer, Took: max(transfer, 0)})
	}
	return slices.DeleteFunc(all, func(p checks.Phase) bool { return p.Took <= 0 })
}

// Trail is the evidence of the way to an answer's header: dns, connect, proxy, tls. With a failure it ends in the step
// that failed, which is "status" where the request was sent, or could not even be. Its texts are a Failure's own.
func (t Timings) Trail(f *Failure) []checks.Step {
	stage := ""
	if f != nil {
		stage = f.Stage
	}
	var steps []checks.Step
	if t.Reused {
		steps = append(steps, checks.Step{Name: "connect", OK: true, Detail: "a connection kept from before, to " + t.RemoteAddr})
	} else {
		steps = t.fresh(stage)
	}
	if f == nil {
		return steps
	}
	if !slices.Contains([]string{stageDNS, stageConnect, stageProxy, stageTLS}, stage) {
		stage = "status"
	}
	return append(steps, checks.Step{Name: stage, Detail: fmt.Sprintf("%s: %s", f.Reason, f.Error())})
}

// fresh are the steps that were taken before the stage of the failure, "" for none.
func (t Timings) fresh(stage string) []checks.Step {
	ways := []struct {
		name   string
		took   time.Duration
		detail string
	}{
		{stageDNS, t.Resolve, "resolved"},
		{stageConnect, t.Connect, "connected to " + t.RemoteAddr},
		{stageProxy, t.Connect, "the proxy opened the way"},
		{stageTLS, t.TLS, "handshake and certificate good"},
	}
	var steps []checks.Step
	for _, s := range ways {
		if s.name == stage {
			break
		}
		if s.took <= 0 || (s.name == stageProxy && !t.Proxied) {
			continue
		}
		if s.name == stageConnect && t.RemoteAddr == "" {
			s.detail = "connected"
		}
		if s.name != stageProxy {
			s.detail += fmt.Sprintf(" in %s", s.took.Round(time.Microsecond))
		}
		steps = append(steps, checks.Step{Name: s.name, OK: true, Detail: s.detail})
	}
	return steps
}
