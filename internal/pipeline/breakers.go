package pipeline

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/breaker"
)

// StateStore keeps small named states. It is safe for concurrent use.
type StateStore interface {
	LoadState(ctx context.Context, key string) ([]byte, error)
	SaveState(ctx context.Context, key string, data []byte) error
}

// BreakerSettings is what the configuration says of one provider's breaker.
type BreakerSettings struct {
	Failures int
	Reset    time.Duration
}

// Breakers holds the breaker of each provider, keeps their state over restarts and reloads, and logs each change. It is
// safe for concurrent use.
type Breakers struct {
	store StateStore
	log   *slog.Logger

	mu         sync.Mutex // guards the rest
	byProvider map[string]*breaker.Breaker
	saved      map[string][]byte
	moved      func(Move)
}

// Move is a change of a provider's breaker.
type Move struct {
	Provider, From, To string
	Cause              checks.Cause // why it opened
}

// Follow has moved told of every change, in order. It must not call back. It is called before the first run, once.
func (b *Breakers) Follow(moved func(Move)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moved = moved
}

// NewBreakers makes an empty set; Configure fills it.
func NewBreakers(store StateStore, log *slog.Logger) *Breakers {
	return &Breakers{store: store, log: log, byProvider: map[string]*breaker.Breaker{}, saved: map[string][]byte{}}
}

// Configure sets the providers and their settings. A breaker that is there keeps its state; a new one takes over what
// was stored under the provider's name.
func (b *Breakers) Configure(ctx context.Context, settings map[string]BreakerSettings) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for provider := range b.byProvider {
		if _, stays := settings[provider]; !stays {
			delete(b.byProvider, provider)
		}
	}
	for provider, s := range settings {
		if known := b.byProvider[provider]; known != nil {
			known.Configure(s.Failures, s.Reset)
			continue
		}
		fresh := breaker.New(s.Failures, s.Reset)
		if err := b.restore(ctx, provider, &fresh); err != nil {
			b.log.Warn("restoring a breaker, it starts closed", "provider", provider, "error", err)
		}
		b.byProvider[provider] = &fresh
	}
}

func (b *Breakers) restore(ctx context.Context, provider string, fresh *breaker.Breaker) error {
	data, err := b.store.LoadState(ctx, stateKey(provider))
	if err != nil || len(data) == 0 {
		return err
	}
	return fresh.Restore(time.Now(), data)
}

func stateKey(provider string) string { return "breaker/" + provider }

// WantsProbe reports whether the provider's breaker waits for a models list.
func (b *Breakers) WantsProbe(provider string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.byProvider[provider]
	return one != nil && one.WantsProbe(now)
}

// Listed tells the provider's breaker how a models list went.
func (b *Breakers) Listed(ctx context.Context, provider string, now time.Time, ok bool) {
	b.change(ctx, provider, func(one *breaker.Breaker) { one.Listed(now, ok) })
}

// Allow asks for one paid run. Who is allowed ends with Record or Release.
func (b *Breakers) Allow(ctx context.Context, provider string, now time.Time) (ok bool, why string) {
	ok = true
	b.change(ctx, provider, func(one *breaker.Breaker) {
		verdict := one.Allow(now)
		ok, why = verdict.Allowed, verdict.Why
	})
	return ok, why
}

// Release gives back a permission whose run did not take place.
func (b *Breakers) Release(ctx context.Context, provider string) {
	b.change(ctx, provider, func(one *breaker.Breaker) { one.Release() })
}

// Record tells the provider's breaker of a paid run that ended.
func (b *Breakers) Record(ctx context.Context, provider string, report *checks.Report) {
	b.change(ctx, provider, func(one *breaker.Breaker) { one.Record(time.Now(), report) })
}

// change applies one event, logs a change of state and stores what is to outlive the process.
func (b *Breakers) change(ctx context.Context, provider string, event func(*breaker.Breaker)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.byProvider[provider]
	if one == nil {
		return
	}
	was := *one
	event(one)
	if *one == was {
		return
	}
	before := was.State()
	if after := one.Status(); after.State != before {
		b.log.Warn("breaker changed", "provider", provider, "from", before.String(), "to", after.State.String(), "cause", string(after.Cause))
		if b.moved != nil {
			b.moved(Move{provider, before.String(), after.State.String(), after.Cause})
		}
	}
	snapshot := one.Snapshot()
	if bytes.Equal(snapshot, b.saved[provider]) {
		return
	}
	b.saved[provider] = snapshot
	if err := b.store.SaveState(context.WithoutCancel(ctx), stateKey(provider), snapshot); err != nil {
		b.log.Error("storing the breaker's state", "provider", provider, "error", err)
	}
}

// States is where each breaker stands, as the metric's number.
func (b *Breakers) States() map[string]breaker.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]breaker.State, len(b.byProvider))
	for provider, one := range b.byProvider {
		out[provider] = one.State()
	}
	return out
}

// Words is where each breaker stands, in a word: closed, half_open, open.
func (b *Breakers) Words() map[string]string {
	out := map[string]string{}
	for provider, state := range b.States() {
		out[provider] = state.String()
	}
	return out
}
