// Package credentials checks the keys of a provider by themselves, before a refused key is everybody's outage: that each is
// accepted, that the fallback is another key, and that none is older than it may be. It sees keys only through the
// provider's client, holds none, and makes no call that costs money.
package credentials

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/internal/calls"
	"github.com/windsock-monitor/windsock/internal/mistral"
)

const doc = `Asks for the list of models with the provider's key, and once more with its fallback key where there is one, and judges each by
itself: a refused key fails, a refused fallback key is degraded while nobody needs it yet, and so are a fallback key that is the first one
again and a key that is older than it may be. It is free. The age is that of the file that the key came from; nobody knows the age of a
credential of systemd, which is copied anew at each start of the unit, of a variable or of a program's answer. Where the service does not
answer, the check is unknown: that says nothing of a key.`

// skew is how far in the future a file may lie by the clock of another host.
const skew = time.Minute

//go:embed example.yaml
var example string

// Example is a `with:` section as people write it.
func Example() string { return example }

// Params is the `with:` section.
type Params struct {
	MaxAge          time.Duration `jsonschema_description:"Degraded when the file of a key was not changed for longer, as with a key that nobody rotates, and when nobody knows its age; 0s is off." yaml:"max_age"`
	RequireFallback bool          `jsonschema_description:"Degraded where the provider has no fallback_api_key." yaml:"require_fallback"`
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	if p.MaxAge < 0 {
		return checks.Invalid("max_age", "%s, want 0s or more", p.MaxAge)
	}
	return nil
}

// Kind is the kind of check that this package is.
func Kind() checks.Kind {
	kind := checks.NewKind("credentials", doc, Params{}, New)
	kind.Provider = checks.ProviderNeeded
	return kind
}

// Provider is what the check needs of a provider's client.
type Provider interface {
	Keys() []mistral.Key
	SameKey(ctx context.Context) (bool, error)
}

// Credentials is one check of a provider's keys.
type Credentials struct {
	params   Params
	provider Provider
}

// New builds the check. Without a provider its runs are errors.
func New(params Params, env checks.Env) (checks.Check, error) {
	provider, err := calls.Lent[Provider](env, "tell its keys apart")
	if err != nil {
		return nil, err
	}
	return &Credentials{params: params, provider: provider}, nil
}

// Measures implements checks.Measuring.
func (c *Credentials) Measures() []string {
	return calls.Measures("probe.key.age", "probe.key.same", "probe.key.valid")
}

// Run asks for the list once with each key, one after the other.
func (c *Credentials) Run(ctx context.Context) (checks.Result, error) {
	if c.provider == nil {
		return checks.Result{Cause: checks.CauseConfig}, errors.New("there is no provider to ask")
	}
	keys := c.provider.Keys()
	primary := ask(ctx, keys[0])
	r := primary.result
	if errors.Is(ctx.Err(), context.Canceled) && !primary.call.OK() {
		return r, nil
	}
	measure(&r, primary)
	var found []finding
	var fallback *answer
	switch {
	case len(keys) > 1:
		fallback = ask(ctx, keys[1])
		measure(&r, fallback)
		r.Evidence = append(r.Evidence, step(fallback))
		found = append(found, ofFallback(fallback)...)
		found = append(found, c.same(ctx, &r)...)
	case c.params.RequireFallback:
		found = append(found, finding{doubtful, checks.Degraded, checks.CauseConfig, "there is no fallback key: give the provider a fallback_api_key"})
	}
	found = append(found, c.ages(&r, keys)...)
	found = append(found, ofPrimary(primary, fallback)...)
	settle(&r, found, len(keys))
	return r, nil
}

// same says whether the fallback key is the first one again. Where a key cannot be read that is a finding of its own.
func (c *Credentials) same(ctx context.Context, r *checks.Result) []finding {
	same, err := c.provider.SameKey(ctx)
	if err != nil {
		return nil
	}
	r.Measurements = append(r.Measurements, checks.Measurement{Name: "probe.key.same", Value: calls.Truth(same)})
	if !same {
		return nil
	}
	return []finding{{doubtful, checks.Degraded, checks.CauseConfig, "the fallback key is the primary one: when that is refused, so is this"}}
}

// ages measures how old the keys are, as far as somebody knows. Where that is asked for and nobody does, it is a finding: a
// key of which nothing is known is not a young one.
func (c *Credentials) ages(r *checks.Result, keys []mistral.Key) []finding {
	var found []finding
	for _, key := range keys {
		changed, known := key.Changed()
		age := time.Since(changed)
		if !known || age < -skew {
			if c.params.MaxAge > 0 {
				found = append(found, finding{doubtful, checks.Degraded, checks.CauseConfig, ageless(key, known)})
			}
			continue
		}
		age = max(age, 0)
		r.Measurements = append(r.Measurements, checks.Measurement{
			Name: "probe.key.age", Value: age.Seconds(), Unit: "s", Attrs: map[string]string{"key": key.Name},
		})
		if c.params.MaxAge > 0 && age > c.params.MaxAge {
			text := fmt.Sprintf("the %s key was not changed for %s, want %s at most", key.Name, age.Truncate(time.Second), c.params.MaxAge)
			found = append(found, finding{doubtful, checks.Degraded, checks.CauseConfig, text})
		}
	}
	return found
}

// ageless says why nobody knows how old a key is.
func ageless(key mistral.Key, known bool) string {
	if known {
		return fmt.Sprintf("the %s key has a file of the future: its age is not known", key.Name)
	}
	return fmt.Sprintf("the age of the %s key is not known (%s): max_age needs a file", key.Name, key.Where())
}
