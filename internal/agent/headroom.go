package agent

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/headroom"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/pipeline"
	"github.com/windsock-monitor/windsock/internal/status"
	"github.com/windsock-monitor/windsock/internal/store"
)

// headrooms keeps the rate limits of each provider, as its answers say them, over reloads and restarts. It is safe for
// concurrent use.
type headrooms struct {
	store *store.Store
	log   *slog.Logger

	mu         sync.Mutex // guards the rest
	byProvider map[string]*headroom.Tracker
	below      map[string]float64 // pause_below
	paused     map[string]time.Time
	saved      map[string]time.Time
}

// saveLimits is how often the store is told of a provider's rate limits.
const saveLimits = 10 * time.Second

func newHeadrooms(kept *store.Store, log *slog.Logger) *headrooms {
	return &headrooms{
		store: kept, log: log, byProvider: map[string]*headroom.Tracker{}, below: map[string]float64{},
		paused: map[string]time.Time{}, saved: map[string]time.Time{},
	}
}

// configure sets the providers. What is known of one that stays, it keeps.
func (h *headrooms) configure(ctx context.Context, providers []config.Provider) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.below = map[string]float64{}
	for i := range providers {
		name := providers[i].Name
		h.below[name] = providers[i].PauseBelow
		if h.byProvider[name] != nil {
			continue
		}
		fresh := &headroom.Tracker{}
		data, err := h.store.LoadState(ctx, limitsKey(name))
		if err == nil && data != nil {
			err = fresh.Restore(time.Now(), data)
		}
		if err != nil {
			h.log.Warn("rate limits are known again after the next paid call", "provider", name, "error", err)
		}
		h.byProvider[name] = fresh
	}
	maps.DeleteFunc(h.byProvider, func(name string, _ *headroom.Tracker) bool { _, stays := h.below[name]; return !stays })
	maps.DeleteFunc(h.paused, func(name string, _ time.Time) bool { _, stays := h.below[name]; return !stays })
}

// limitsKey is where the store keeps the rate limits of a provider.
func limitsKey(provider string) string { return "limits/" + provider }

// observe takes over what the headers of a paid call said, a refusal's too.
func (h *headrooms) observe(ctx context.Context, provider string, call *mistral.Call) {
	if len(call.Limits) == 0 {
		return
	}
	limits := make([]headroom.Limit, 0, len(call.Limits))
	for _, l := range call.Limits {
		limits = append(limits, headroom.Limit{Resource: l.Resource, Window: l.Window, Limit: l.Limit, Remaining: l.Remaining})
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	tracker := h.byProvider[provider]
	if tracker == nil {
		return
	}
	tracker.Observe(now, limits)
	if now.Sub(h.saved[provider]).Abs() >= saveLimits {
		h.save(ctx, now, provider)
	}
}

// save tells the store of a provider's rate limits. The caller holds the lock.
func (h *headrooms) save(ctx context.Context, now time.Time, provider string) {
	h.saved[provider] = now
	data, err := h.byProvider[provider].Snapshot()
	if err == nil {
		err = h.store.SaveState(context.WithoutCancel(ctx), limitsKey(provider), data)
	}
	if err != nil {
		h.log.Error("storing the rate limits", "provider", provider, "error", err)
	}
}

// gate refuses paid runs while what is left is the application's. It implements pipeline.Gate.
func (h *headrooms) gate(now time.Time, job *pipeline.Job) *checks.Result {
	if _, owned := job.Check.(checks.Owned); owned || job.Provider == "" {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	tracker := h.byProvider[job.Provider]
	if tracker == nil {
		return nil
	}
	verdict := tracker.Allow(now, h.below[job.Provider])
	_, was := h.paused[job.Provider]
	if verdict.Allowed {
		delete(h.paused, job.Provider)
		if was {
			h.log.Info("paid checks go on", "provider", job.Provider)
		}
		return nil
	}
	h.paused[job.Provider] = verdict.Until
	if !was {
		h.log.Warn("paid checks pause", "provider", job.Provider, "reason", verdict.Why)
		h.save(context.Background(), now, job.Provider) // a restart does not take what is left either
	}
	refusal := checks.Skip(checks.CauseHeadroom, verdict.Why)
	return &refusal
}

// standing is a provider's rate limits, and whether paid checks pause for them.
type standing struct {
	provider string
	windows  []headroom.Window
	paused   string // why; "" where they do not
}

func (h *headrooms) standings(now time.Time) []standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []standing
	for _, name := range slices.Sorted(maps.Keys(h.byProvider)) {
		tracker := h.byProvider[name]
		all = append(all, standing{name, tracker.Windows(), tracker.Allow(now, h.below[name]).Why})
	}
	return all
}

// observeHeadroom adds the rate limits to a snapshot. What an answer said longer ago than its window is long is no news.
func (a *Agent) observeHeadroom(s *snapshotting, now time.Time) {
	for _, one := range a.headrooms.standings(now) {
		s.gauge("windsock.headroom.paused", zeroOne(one.paused != ""), map[string]string{"provider": one.provider})
		for _, w := range one.windows {
			share, ok := w.Share()
			if !ok || now.Sub(w.At) > 2*time.Hour {
				continue
			}
			attrs := map[string]string{"provider": one.provider, "resource": w.Resource, "window": w.Window}
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
	for _, one := range a.headrooms.standings(now) {
		if one.paused != "" {
			all = append(all, status.Problem{
				Part: "headroom of " + one.provider, Status: status.Degraded, What: "paid checks pause: " + one.paused,
				Hint: "raise the rate limit, run paid checks less often, or lower headroom.pause_below",
			})
		}
	}
	return all
}
