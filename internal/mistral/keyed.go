package mistral

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound/credential"
)

// The keys of a provider, as Call.KeyUsed and Key.Name have them.
const (
	KeyPrimary  = "primary"
	KeyFallback = "fallback"
)

const (
	// diagnoseEvery is the shortest time between two questions with the fallback key, whatever is refused meanwhile.
	diagnoseEvery = 10 * time.Second
	// diagnoseAgain is the same after a question that a call's deadline cut off: it says nothing to calls with more time.
	diagnoseAgain = time.Second
	// diagnoseLimit bounds one of them.
	diagnoseLimit = 5 * time.Second
	// refusedFor is how long calls go to the fallback key at once, unless the source of the first has another value.
	refusedFor = 30 * time.Second
)

// Keyed implements API with a provider's key and, where there is one, its fallback key. A call whose key is refused (401,
// which is never billed) is made once more where the key's source has another value by now. Where the key stays refused,
// the fallback key tells whether the key or the service is at fault: by a models list, asked at most once in ten seconds
// however many calls there are (once a second where a call's own deadline cuts it off); the verdict is auth all the same.
// With failover the call itself is made with the fallback key instead, and for half a minute calls begin with it; then one
// of them tries the first key again. A call is never more than three requests, of which at most one can be billed; the
// evidence holds them all. It is safe for concurrent use.
type Keyed struct {
	primary  *Client
	fallback *Client // nil where there is none
	failover bool
	refused  atomic.Pointer[refusal] // with failover: the primary key that was refused last; nil for none

	busy  chan struct{} // holds the one who asks with the fallback key; guards all below
	until time.Time     // how long the answer counts
	found checks.Step
}

// refusal is a key that was refused, by a hash that means nothing outside of this process.
type refusal struct {
	sum   uint64
	until time.Time
}

// NewKeyed checks the options, whose APIKey is the primary one. fallback may be absent; without it failover means nothing.
func NewKeyed(o Options, fallback checks.Secret, failover bool) (*Keyed, error) {
	primary, err := New(o)
	if err != nil {
		return nil, err
	}
	k := &Keyed{primary: primary, busy: make(chan struct{}, 1)}
	if fallback.IsZero() {
		return k, nil
	}
	other := o
	other.APIKey = fallback
	k.failover = failover
	k.fallback = &Client{base: primary.base, https: primary.https, o: other, keys: primary.keys}
	k.fallback.o.MaxBody, k.fallback.o.StallAfter = primary.o.MaxBody, primary.o.StallAfter
	return k, nil
}

var _ API = (*Keyed)(nil)

// BaseURL is that of every Client of the provider.
func (k *Keyed) BaseURL() string { return k.primary.BaseURL() }

// Models implements API.
func (k *Keyed) Models(ctx context.Context) ([]Model, Call) {
	return keyed(ctx, k, func(c *Client) ([]Model, Call) { return c.Models(ctx) })
}

// Model implements API.
func (k *Keyed) Model(ctx context.Context, id string) (Model, Call) {
	return keyed(ctx, k, func(c *Client) (Model, Call) { return c.Model(ctx, id) })
}

// Chat implements API.
func (k *Keyed) Chat(ctx context.Context, req ChatRequest) (ChatReply, Call) {
	return keyed(ctx, k, func(c *Client) (ChatReply, Call) { return c.Chat(ctx, req) })
}

// Embed implements API.
func (k *Keyed) Embed(ctx context.Context, req EmbedRequest) (EmbedReply, Call) {
	return keyed(ctx, k, func(c *Client) (EmbedReply, Call) { return c.Embed(ctx, req) })
}

func keyed[T any](ctx context.Context, k *Keyed, do func(*Client) (T, Call)) (T, Call) {
	if k.primaryRefused(ctx) {
		reply, call := do(k.fallback)
		if works(&call) {
			return reply, replaced(nil, call)
		}
		k.refused.Store(nil)
		step := judged(&call)
		reply, call = renewed(ctx, k.primary, do)
		return reply, diagnosed(call, step)
	}
	reply, call := renewed(ctx, k.primary, do)
	if call.OK() && k.refused.Load() != nil {
		k.refused.Store(nil)
	}
	if call.Status != http.StatusUnauthorized || k.fallback == nil {
		return reply, diagnosed(call)
	}
	if !k.failover || ctx.Err() != nil {
		return reply, diagnosed(call, k.diagnose(ctx))
	}
	other, second := do(k.fallback)
	if !works(&second) {
		return reply, diagnosed(call, judged(&second))
	}
	k.refused.Store(&refusal{call.refused.sum, time.Now().Add(refusedFor)})
	return other, replaced(call.Evidence, second)
}

// renewed makes a call, and makes it once more where its key was refused and the key's source has another one by now.
func renewed[T any](ctx context.Context, c *Client, do func(*Client) (T, Call)) (T, Call) {
	reply, call := do(c)
	if !call.refused.renewed || ctx.Err() != nil {
		return reply, call
	}
	refused := call.Evidence
	reply, call = do(c)
	call.Evidence = slices.Concat(refused, []checks.Step{{
		Name: "rotation", OK: true, Detail: "401 with the key as it was; its source has another value, with which the call is made again",
	}}, call.Evidence)
	return reply, call
}

// works reports whether a call with the fallback key is to stand for the one whose key was refused: also where it failed,
// unless the key was at fault again.
func works(call *Call) bool {
	return call.Status != http.StatusUnauthorized && (call.Cause != checks.CauseConfig || call.Status != 0)
}

// replaced is a call that was made with the fallback key; before is what there was with the first.
func replaced(before []checks.Step, call Call) Call {
	call.KeyUsed = KeyFallback
	call.Evidence = slices.Concat(before, []checks.Step{{
		Name: "fallback_key", OK: true, Detail: "the primary key is refused (401); the call is made with the fallback key",
	}}, call.Evidence)
	return call
}

// diagnosed is a call that was made with the primary key.
func diagnosed(call Call, steps ...checks.Step) Call {
	call.KeyUsed = KeyPrimary
	call.Evidence = append(call.Evidence, steps...)
	return call
}

// primaryRefused reports whether a call need not ask with the primary key, because it was refused a moment ago and the
// source still has that very key. When that was long ago, one call asks with it again, and the others still need not.
func (k *Keyed) primaryRefused(ctx context.Context) bool {
	last := k.refused.Load()
	if last == nil {
		return false
	}
	key, err := credential.Token(ctx, k.primary.o.APIKey)
	if err != nil || k.primary.keys.sum(key) != last.sum {
		return false
	}
	now := time.Now()
	return now.Before(last.until) || !k.refused.CompareAndSwap(last, &refusal{last.sum, now.Add(refusedFor)})
}

// diagnose asks with the fallback key whether the service takes any key, or says what came of it a moment ago. Concurrent
// calls share one question.
func (k *Keyed) diagnose(ctx context.Context) checks.Step {
	late := fallbackStep(false, "the fallback key could not be asked: no time was left")
	select {
	case k.busy <- struct{}{}:
		defer func() { <-k.busy }()
	case <-ctx.Done():
		return late
	}
	switch {
	case time.Now().Before(k.until):
		return k.found
	case ctx.Err() != nil:
		return late
	}
	k.found = k.ask(ctx)
	k.until = time.Now().Add(diagnoseEvery)
	if ctx.Err() != nil {
		k.until = time.Now().Add(diagnoseAgain)
	}
	return k.found
}

func (k *Keyed) ask(ctx context.Context) checks.Step {
	if same, err := k.SameKey(ctx); err == nil && same {
		return fallbackStep(false, "the fallback key is the primary one: it tells nothing")
	}
	ctx, cancel := context.WithTimeout(ctx, diagnoseLimit)
	defer cancel()
	_, call := k.fallback.Models(ctx)
	return judged(&call)
}

// judged says what a call with the fallback key tells of the primary one. It quotes no server.
func judged(call *Call) checks.Step {
	switch {
	case call.OK():
		return fallbackStep(true, "the fallback key is accepted: the primary key is at fault, not the service")
	case call.Status == http.StatusUnauthorized:
		return fallbackStep(false, "the fallback key is refused too (401)")
	case call.Status != 0:
		return fallbackStep(false, fmt.Sprintf("the fallback key could not be asked: %d %s", call.Status, call.Cause))
	}
	return fallbackStep(false, fmt.Sprintf("the fallback key could not be asked: %s", call.Cause))
}

func fallbackStep(ok bool, detail string) checks.Step {
	return checks.Step{Name: "fallback_key", OK: ok, Detail: detail}
}

// SameKey reports whether both keys are one. Without a fallback key they are not. The error is that of a source, without
// a value.
func (k *Keyed) SameKey(ctx context.Context) (bool, error) {
	if k.fallback == nil {
		return false, nil
	}
	primary, err := credential.Token(ctx, k.primary.o.APIKey)
	if err != nil {
		return false, fmt.Errorf("primary key: %w", err)
	}
	fallback, err := credential.Token(ctx, k.fallback.o.APIKey)
	if err != nil {
		return false, fmt.Errorf("fallback key: %w", err)
	}
	return subtle.ConstantTimeCompare([]byte(primary), []byte(fallback)) == 1, nil
}

// Keys are the provider's keys, each to be looked at by itself: the primary one, then the fallback where there is one.
func (k *Keyed) Keys() []Key {
	keys := []Key{{Name: KeyPrimary, client: k.primary}}
	if k.fallback != nil {
		keys = append(keys, Key{Name: KeyFallback, client: k.fallback})
	}
	return keys
}

// Key is one key of a provider.
type Key struct {
	Name   string // KeyPrimary or KeyFallback
	client *Client
	seen   func(ctx context.Context, models []Model) // nil: nobody wants to know
}

// Seen is the key, and has its lists told.
func (k Key) Seen(seen func(ctx context.Context, models []Model)) Key {
	k.seen = seen
	return k
}

// Models lists the models with this key and no other, once more where it is refused and its source has another value.
func (k Key) Models(ctx context.Context) ([]Model, Call) {
	list, call := renewed(ctx, k.client, func(c *Client) ([]Model, Call) { return c.Models(ctx) })
	call.KeyUsed = k.Name
	if k.seen != nil && call.OK() {
		k.seen(ctx, list)
	}
	return list, call
}

// Where names the place that gave the key last, never the key.
func (k Key) Where() string { return k.client.o.APIKey.Used() }

// Changed is when the source of the key was last changed, and false where nobody knows.
func (k Key) Changed() (time.Time, bool) { return k.client.o.APIKey.Changed() }
