package checks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Redacted is what every printed form of a Secret says.
const Redacted = "[redacted]"

// ErrNoSecret means that no source of a secret has a value. The check concerned is then Error{config}.
var ErrNoSecret = errors.New("no value for the secret")

// SecretSource reads a credential. Implementations (internal/secret) cache, and are safe for concurrent use.
type SecretSource interface {
	// Read returns the current value, without the final newline. ErrNoSecret where there is none.
	Read(ctx context.Context) (string, error)
	// Renew reads the source again past any cache, after a 401 or on reload, and reports whether the value changed.
	// Concurrent calls share one read, at most one a second.
	Renew(ctx context.Context) (changed bool, err error)
	// Where names the source for a person, never the value: "file /etc/windsock/secrets/mistral".
	Where() string
}

// SecretUse is optional on a SecretSource that looks in several places. Used names the one that gave the last value, as
// Where would, and is "" before there was one.
type SecretUse interface{ Used() string }

// SecretAge is optional on a SecretSource that knows when the place that gave the last value was last changed. It is false
// where nobody knows, and before there was a value.
type SecretAge interface{ Changed() (time.Time, bool) }

// Secret is a credential by reference. It is read late, when it is used, and prints as [redacted] under every verb and
// in every encoding. The zero Secret is absent.
type Secret struct{ source SecretSource }

// NewSecret makes a Secret of a source.
func NewSecret(source SecretSource) Secret { return Secret{source: source} }

// IsZero reports whether no source was given.
func (s Secret) IsZero() bool { return s.source == nil }

// Reveal returns the value. Call it where the value is put on the wire, and keep it nowhere.
func (s Secret) Reveal(ctx context.Context) (string, error) {
	if s.source == nil {
		return "", ErrNoSecret
	}
	return s.source.Read(ctx)
}

// Renew reads the source again, after the target refused the value, and reports whether it changed.
func (s Secret) Renew(ctx context.Context) (bool, error) {
	if s.source == nil {
		return false, ErrNoSecret
	}
	return s.source.Renew(ctx)
}

// Where names the source for a person, never the value.
func (s Secret) Where() string {
	if s.source == nil {
		return "no source"
	}
	return s.source.Where()
}

// Used names the place that gave the last value, for a person. It is Where for a source that cannot tell, and before there
// was a value.
func (s Secret) Used() string {
	if use, ok := s.source.(SecretUse); ok {
		if place := use.Used(); place != "" {
			return place
		}
	}
	return s.Where()
}

// Changed is when the place that gave the last value was last changed, and false for a source that cannot tell.
func (s Secret) Changed() (time.Time, bool) {
	if age, ok := s.source.(SecretAge); ok {
		return age.Changed()
	}
	return time.Time{}, false
}

// Format prints [redacted] for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// String is [redacted].
func (s Secret) String() string { return Redacted }

// GoString is [redacted].
func (s Secret) GoString() string { return Redacted }

// LogValue is [redacted].
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText writes [redacted].
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON writes "[redacted]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalYAML writes [redacted].
func (s Secret) MarshalYAML() (any, error) { return Redacted, nil }
