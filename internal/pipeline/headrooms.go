package pipeline

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/headroom"
)

// keepLimits is how often the store is told of a provider's rate limits, as long as nothing pauses.
const keepLimits = 10 * time.Second

// HeadroomSettings is what the configuration says of one provider's rate limits.
type HeadroomSettings struct {
	BaseURL    string   // whose answers count
	Key        string   // the name of the one that all calls are made with; "" where the answers say which
	PauseBelow float64  // 0 to 1
	Models     []string // that paid checks call; empty: none does
	Unnamed    bool     // a paid check does not say which it calls
}

// Headrooms keeps the rate limits of each provider, as its answers say them, over reloads and restarts, and refuses paid runs
// while what is left is the application's. A nil one refuses nothing. It is safe for concurrent use; no method but Run and
// Flush waits for the store.
type Headrooms struct {
	store StateStore
	log   *slog.Logger
	wake  chan struct{} // holds the wish that Run writes

	mu         sync.Mutex // guards the rest
	byProvider map[string]*limited
}

// limited is one provider's account.
type limited struct {
	baseURL string // does not change
	below   float64
	models  []string // that paid checks call
	unnamed bool
	tracker headroom.Tracker
	paused  map[string]bool // the models, as one text, whose checks pause
	unsaved bool
	saved   time.Time
}

// NewHeadrooms makes an empty set; Configure fills it.
func NewHeadrooms(store StateStore, log *slog.Logger) *Headrooms {
	return &Headrooms{store: store, log: log, wake: make(chan struct{}, 1), byProvider: map[string]*limited{}}
}

// Configure sets the providers. What is known of one whose base URL stays, it keeps; of another it takes over what was stored
// for its name and base URL. It is not called concurrently.
func (h *Headrooms) Configure(ctx context.Context, settings map[string]HeadroomSettings) {
	h.mu.Lock()
	fresh := maps.Clone(h.byProvider)
	h.mu.Unlock()
	maps.DeleteFunc(fresh, func(provider string, one *limited) bool { return one.baseURL != settings[provider].BaseURL })
	for provider, s := range settings {
		if fresh[provider] == nil {
			fresh[provider] = h.restore(ctx, provider, s.BaseURL)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.byProvider = fresh
	for provider, s := range settings {
		one := fresh[provider]
		one.below, one.models, one.unnamed = s.PauseBelow, s.Models, s.Unnamed
		if s.Key != "" {
			one.tracker.Use(s.Key)
		}
	}
}

func (h *Headrooms) restore(ctx context.Context, provider, baseURL string) *limited {
	one := &limited{baseURL: baseURL, paused: map[string]bool{}}
	data, err := h.store.LoadState(ctx, LimitsKey(provider))
	if err == nil && data != nil {
		err = one.tracker.Restore(time.Now(), baseURL, data)
	}
	if err != nil {
		h.log.Warn("rate limits are known again after the next paid call", "provider", provider, "error", err)
	}
	return one
}

// LimitsKey is where the store keeps the rate limits of a provider: a headroom.Tracker's snapshot.
func LimitsKey(provider string) string { return "limits/" + provider }

// Answered takes over what a call to a base URL brought, a refusal too.
func (h *Headrooms) Answered(provider, baseURL string, answer *headroom.Answer) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.byProvider[provider]
	if one == nil || one.baseURL != baseURL { // a call of the configuration before
		return
	}
	one.unsaved = one.tracker.Observe(now, answer) || one.unsaved
	if one.unsaved && now.Sub(one.saved).Abs() >= keepLimits {
		h.wish()
	}
}

// wish has Run write what is unsaved.
func (h *Headrooms) wish() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// allow refuses a paid run, or lets it pass. Who was let pass ends with release.
func (h *Headrooms) allow(now time.Time, job *Job) *checks.Result {
	if h == nil {
		return nil
	}
	verdict, turned := h.judge(now, job)
	switch {
	case turned && verdict.Allowed:
		h.log.Info("paid checks go on", "provider", job.Provider, "models", job.models())
	case turned:
		h.log.Warn("paid checks pause", "provider", job.Provider, "models", job.models(), "reason", verdict.Why)
	}
	if verdict.Allowed {
		return nil
	}
	refusal := checks.Skip(checks.CauseHeadroom, verdict.Why)
	return &refusal
}

// judge also reports whether that is news of the models' checks: that one may look is none.
func (h *Headrooms) judge(now time.Time, job *Job) (verdict headroom.Verdict, turned bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.byProvider[job.breaker()]
	if one == nil {
		return headroom.Verdict{Allowed: true}, false
	}
	models := job.models()
	verdict = one.tracker.Allow(now, headroom.Run{Check: job.Name, Models: models, Within: job.Timeout}, one.below)
	named := strings.Join(models, " ")
	if verdict.Looks || verdict.Allowed != one.paused[named] {
		return verdict, false
	}
	if verdict.Allowed {
		delete(one.paused, named)
		return verdict, true
	}
	one.paused[named], one.unsaved = true, true
	h.wish() // a restart does not take what is left either
	return verdict, true
}

// release tells that a run that was let pass has ended, or is not made after all.
func (h *Headrooms) release(job *Job) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if one := h.byProvider[job.breaker()]; one != nil {
		one.tracker.Release(job.Name)
	}
}

// Run writes what is to outlive the process until ctx ends, and then what is left. The newest is always written last.
func (h *Headrooms) Run(ctx context.Context) {
	for {
		select {
		case <-h.wake:
			h.Flush(ctx)
		case <-ctx.Done():
			h.Flush(ctx)
			return
		}
	}
}

// Flush writes what is not written yet, also where ctx has ended. It is not called concurrently, nor while Run runs.
func (h *Headrooms) Flush(ctx context.Context) {
	for provider, data := range h.unsaved(time.Now()) {
		if err := h.store.SaveState(context.WithoutCancel(ctx), LimitsKey(provider), data); err != nil {
			h.log.Error("storing the rate limits", "provider", provider, "error", err)
		}
	}
}

// unsaved takes copies of what is not written yet.
func (h *Headrooms) unsaved(now time.Time) map[string][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	copies := map[string][]byte{}
	for provider, one := range h.byProvider {
		if !one.unsaved {
			continue
		}
		one.unsaved, one.saved = false, now
		if data, err := one.tracker.Snapshot(one.baseURL); err == nil { // of numbers and texts: there is no error
			copies[provider] = data
		}
	}
	return copies
}

// Standing is a provider's rate limits, and whether paid checks pause for one of them.
type Standing struct {
	Provider string
	Windows  []headroom.Window
	Paused   string // why; "" where they do not
}

// pauses says why paid checks pause, "" where none of those that there are does.
func (l *limited) pauses(now time.Time) string {
	switch {
	case l.unnamed:
		return l.tracker.Judge(now, nil, l.below).Why
	case len(l.models) == 0:
		return ""
	}
	return l.tracker.Judge(now, l.models, l.below).Why
}

// Standings lists all providers.
func (h *Headrooms) Standings(now time.Time) []Standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Standing
	for _, provider := range slices.Sorted(maps.Keys(h.byProvider)) {
		one := h.byProvider[provider]
		all = append(all, Standing{provider, one.tracker.Windows(), one.pauses(now)})
	}
	return all
}
