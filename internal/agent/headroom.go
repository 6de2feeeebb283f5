package agent

import (
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/headroom"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/status"
)

// headroomsOf is what a configuration says of the providers' rate limits.
func headroomsOf(gen *generation, providers []config.Provider) map[string]pipeline.HeadroomSettings {
	all := make(map[string]pipeline.HeadroomSettings, len(providers))
	for i := range providers {
		p := &providers[i]
		s := pipeline.HeadroomSettings{BaseURL: p.BaseURL, Key: mistral.KeyPrimary, PauseBelow: p.PauseBelow, Models: gen.modelsUsed(p.Name)}
		for _, job := range gen.plan.Jobs {
			_, paid := job.Check.(checks.Paid)
			_, owned := job.Check.(checks.Owned)
			_, named := job.Check.(checks.Modelled)
			s.Unnamed = s.Unnamed || paid && !owned && !named && job.Provider == p.Name
		}
		if p.Failover {
			s.Key = ""
		}
		all[p.Name] = s
	}
	return all
}

// answerOf is what the headers of a call said; model is the one that was asked, "" for a call that is free.
func answerOf(model string, call *mistral.Call) *headroom.Answer {
	answer := &headroom.Answer{Key: call.KeyUsed}
	if model == "" { // no limit counts it
		return answer
	}
	answer.Model, answer.Success = model, call.Status >= 200 && call.Status <= 299
	for _, l := range call.Limits {
		answer.Limits = append(answer.Limits, headroom.Limit{Resource: l.Resource, Window: l.Window, Limit: l.Limit, Remaining: l.Remaining})
	}
	return answer
}

// observeHeadroom adds the rate limits to a snapshot. What an answer said longer ago than its window is long is no news.
func (a *Agent) observeHeadroom(s *snapshotting, now time.Time) {
	for _, one := range a.headrooms.Standings(now) {
		s.gauge("windsock.headroom.paused", zeroOne(one.Paused != ""), map[string]string{"provider": one.Provider})
		for _, w := range one.Windows {
			share, ok := w.Share()
			if !ok || now.Sub(w.At) > 2*time.Hour {
				continue
			}
			attrs := map[string]string{"provider": one.Provider, "model": w.Model, "resource": w.Resource, "window": w.Window}
			s.gauge("windsock.headroom.share", share, attrs)
			if left, shrinks := w.Exhaustion(); shrinks {
				s.gauge("windsock.headroom.exhaustion", left.Seconds(), attrs)
			}
		}
	}
}

// pauses are the problems that headroom makes.
func (a *Agent) pauses(now time.Time) []status.Problem {
	var all []status.Problem
	for _, one := range a.headrooms.Standings(now) {
		if one.Paused != "" {
			all = append(all, status.Problem{
				Part: "headroom of " + one.Provider, Status: status.Degraded, What: "paid checks pause: " + one.Paused,
				Hint: "raise the rate limit, run paid checks less often, or lower headroom.pause_below",
			})
		}
	}
	return all
}
