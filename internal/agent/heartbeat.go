package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/heartbeat"
	"github.com/windsock-monitor/windsock/internal/status"
)

func (a *Agent) newHeart() *heartbeat.Sender {
	return heartbeat.New(heartbeat.Options{Well: a.wellness, Log: a.o.Log.With("part", "heartbeat")})
}

// heartbeat is what the configuration says of the dead man's switch.
func (gen *generation) heartbeat() heartbeat.Settings {
	h := gen.cfg.Heartbeat
	set := heartbeat.Settings{URL: h.URL, Every: h.Every, Way: gen.network, Place: oneLine(h.Place)}
	if gen.cfg.Scrubber != nil {
		set.Hide = gen.cfg.Scrubber.Add
	}
	return set
}

// oneLine places an error without quoting the file's line: it goes to a log and to a page.
func oneLine(place func(error) error) func(error) error {
	if place == nil {
		return nil
	}
	return func(err error) error {
		placed := place(err)
		wrong, ok := errors.AsType[*config.Errors](placed)
		if !ok || len(wrong.List()) == 0 {
			return placed
		}
		p := wrong.List()[0]
		p.Source = ""
		return errors.New(p.String())
	}
}

// wellness says whether the agent does what it is for: it schedules, it keeps, it tells. What cannot be read is not well.
func (a *Agent) wellness(ctx context.Context) (heartbeat.Reason, string) {
	if !a.Alive() {
		return heartbeat.Scheduler, "the scheduler does not tick"
	}
	if kept := a.store.Health(); !kept.OK {
		return heartbeat.Store, kept.Problem
	}
	states, err := a.deliveryStates(ctx, time.Now())
	if err != nil {
		return heartbeat.Store, err.Error()
	}
	for i := range states {
		if what := stalled(&states[i]); what != "" {
			return heartbeat.Export, "exporter " + states[i].Name + ": " + what
		}
	}
	return "", ""
}

// stalled is why an exporter's records do not move, "" where they do. One that is tried again is well until its records are
// old: backends restart.
func stalled(e *status.Exporter) string {
	retried := *e
	if !e.Held {
		retried.Problem = ""
	}
	what, _ := trouble(&retried)
	return what
}

// heart is what the health page says of the heartbeat, nil where it is off.
func (a *Agent) heart() *status.Heartbeat {
	s := a.heartbeat.Status()
	if !s.On {
		return nil
	}
	out := &status.Heartbeat{
		Every: s.Every.Seconds(), LastSentAt: s.LastSentAt, Withheld: string(s.Reason), Why: s.Why, Problem: s.Problem,
		Sent: s.Sent, Failed: s.Failed,
	}
	for _, n := range s.Withheld {
		out.WithheldCount += n
	}
	return out
}

// observeHeartbeat adds the heartbeats to a snapshot. All reasons are told, so that the first one is an increment.
func (a *Agent) observeHeartbeat(s *snapshotting) {
	beats := a.heartbeat.Status()
	if !beats.On && beats.Sent+beats.Failed+int64(len(beats.Withheld)) == 0 {
		return
	}
	s.total("windsock.heartbeat.sent", float64(beats.Sent), nil)
	s.total("windsock.heartbeat.failed", float64(beats.Failed), nil)
	for _, reason := range heartbeat.Reasons() {
		s.total("windsock.heartbeat.withheld", float64(beats.Withheld[reason]), map[string]string{"reason": string(reason)})
	}
}

// probeHeartbeat reads the address and resolves its name. It is not asked: only a running agent may say that it is well.
func probeHeartbeat(ctx context.Context, h config.Heartbeat) Finding {
	finding := Finding{Subject: "heartbeat"}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	address, err := heartbeat.Address(ctx, h.URL)
	if err != nil {
		finding.Detail, finding.Hint = oneLine(h.Place)(err).Error(), "the agent starts without it, and its heartbeats fail"
		return finding
	}
	if _, err := net.DefaultResolver.LookupHost(ctx, address.Hostname()); err != nil {
		finding.Detail, finding.Hint = "the host of its address does not resolve", "behind a proxy that resolves for us this is harmless; else look at the resolver"
		return finding
	}
	finding.OK, finding.Detail = true, fmt.Sprintf("the address is present, from %s, and its host resolves; it is not asked", h.URL.Used())
	return finding
}
