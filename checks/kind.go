package checks

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Kind is a type of check: a name for the configuration, its documentation and how it is built. Make one with NewKind.
type Kind struct {
	Name     string                            // "chat"; in the configuration's `kind:`
	Doc      string                            // the first paragraph of docs/checks/NAME.md
	Provider ProviderUse                       // what its checks have to do with a provider
	Defaults any                               // a Params value: the JSON Schema and the pages come from its type and values
	Validate func(Decoder) error               // decodes and checks the parameters, builds nothing
	New      func(Decoder, Env) (Check, error) // decodes, checks and builds; starts nothing
}

// ProviderUse says what the checks of a kind have to do with a provider of the configuration.
type ProviderUse uint8

// The uses.
const (
	ProviderOptional ProviderUse = iota // they belong to the one that is named, else to the only one there is
	ProviderNeeded                      // likewise, and a file without any provider is refused
	ProviderNamed                       // their target is not a provider's API: they belong to one only where it is named
)

// Decoder reads the `with:` section strictly into a params struct that already holds its defaults. Its errors carry the
// place in the file. Decode of an absent section leaves the defaults.
type Decoder interface {
	Decode(into any) error
}

// Validator is implemented by params structs that have rules beyond their types. Errors are made with Invalid, several
// are joined with errors.Join.
type Validator interface {
	Validate() error
}

// NewKind makes a Kind from a params struct P, whose fields carry `yaml` tags and a `jsonschema_description` each.
func NewKind[P any](name, doc string, defaults P, build func(P, Env) (Check, error)) Kind {
	decode := func(d Decoder) (P, error) { return DecodeParams(d, defaults) }
	return Kind{
		Name:     name,
		Doc:      doc,
		Defaults: defaults,
		Validate: func(d Decoder) error { _, err := decode(d); return err },
		New: func(d Decoder, env Env) (Check, error) {
			params, err := decode(d)
			if err != nil {
				return nil, err
			}
			return build(params, env)
		},
	}
}

// DecodeParams reads the section into a copy of defaults and runs its Validate, where it has one.
func DecodeParams[P any](d Decoder, defaults P) (P, error) {
	params := defaults
	if err := d.Decode(&params); err != nil {
		return params, err
	}
	if v, ok := any(params).(Validator); ok {
		return params, v.Validate()
	}
	if v, ok := any(&params).(Validator); ok {
		return params, v.Validate()
	}
	return params, nil
}

// ParamError is a parameter that cannot be used. The configuration adds file, line and column from Path.
type ParamError struct {
	Path string // dotted, below `with:`: "expect.matches", "hosts.0.port"; "" is the section itself
	Msg  string // what was found and what was wanted
}

func (e *ParamError) Error() string {
	if e.Path == "" {
		return e.Msg
	}
	return e.Path + ": " + e.Msg
}

// Invalid makes a ParamError.
func Invalid(path, format string, args ...any) error {
	return &ParamError{Path: path, Msg: fmt.Sprintf(format, args...)}
}

// Env is what the agent lends a check. Every field may be its zero value in tests, and Provider and Network are nil while
// a configuration is only being validated.
type Env struct {
	Log      *slog.Logger // never nil after the pipeline built it; use slog.DiscardHandler in tests
	Name     string       // the check's name
	Location string
	Timeout  time.Duration   // of one run
	Provider any             // the shared client of `provider:`; the kind declares the interface it needs and asserts it
	Network  any             // the agent's way out, *outbound.Network, for kinds that open connections of their own
	Memory   Memory          // durable bytes of this check
	Ledger   Ledger          // money spent by the agent
	History  History         // earlier measurements
	Prices   any             // what the provider's models cost, *pricing.Book, for kinds that know money; nil: the built-in prices
	Models   func() []string // the models that the provider's other checks use, sorted; nil: nobody knows
	Spawn    Spawner         // programs of the allowed directories; nil where there are none
}

// Memory keeps a few durable bytes per check: offsets, the last alias map. Safe for use by one run at a time.
type Memory interface {
	Load(ctx context.Context) ([]byte, error) // nil where nothing was saved
	Save(ctx context.Context, data []byte) error
}

// Ledger reads what the agent's own probes spent. Read only.
type Ledger interface {
	Spent(ctx context.Context, since, until time.Time) (PicoUSD, error)
}

// Sample is one measurement of the past.
type Sample struct {
	At    time.Time
	Value float64
}

// History reads this check's earlier measurements, oldest first. Read only.
type History interface {
	Since(ctx context.Context, measurement string, since time.Time) ([]Sample, error)
}
