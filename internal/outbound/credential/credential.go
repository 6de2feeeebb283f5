// Package credential handles the secrets of one request: it reads them late, reads them again after a refusal, and takes
// them out of what a server says. It keeps no value longer than its caller does, and opens no connection.
package credential

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/checks"
)

// renewLimit bounds the second reading after a 401, which is not part of the request's time.
const renewLimit = 2 * time.Second

// Token reads a secret that stands in a header as one word, such as a bearer token. The error names the source, never the
// value.
func Token(ctx context.Context, s checks.Secret) (string, error) {
	value, err := read(ctx, s)
	if err != nil {
		return "", err
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return "", fmt.Errorf("%s holds white space, control or non-ASCII characters", s.Used())
		}
	}
	return value, nil
}

// Text reads a secret that may hold anything but control characters, such as a password or the value of a header.
func Text(ctx context.Context, s checks.Secret) (string, error) {
	value, err := read(ctx, s)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return "", fmt.Errorf("%s holds control characters or invalid UTF-8", s.Used())
	}
	return value, nil
}

func read(ctx context.Context, s checks.Secret) (string, error) {
	value, err := s.Reveal(ctx)
	if errors.Is(err, checks.ErrNoSecret) && !s.IsZero() {
		return "", err // it names every place that was looked at, and why there was nothing
	}
	if err != nil {
		return "", fmt.Errorf("reading it from %s: %w", s.Where(), err)
	}
	if value == "" {
		return "", fmt.Errorf("%s: %w", s.Where(), checks.ErrNoSecret)
	}
	return value, nil
}

// Renew reads a secret again after the target refused it, for the next request, and says what came of it. It takes at
// most two seconds, whatever is left of ctx.
func Renew(ctx context.Context, s checks.Secret) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
	defer cancel()
	changed, err := s.Renew(ctx)
	switch {
	case err != nil:
		return "the key could not be read again"
	case changed:
		return "the key's source has a new value, which the next call uses"
	}
	return "the key's source has no other value"
}

// Renewed is Renew for one who knows which value was refused: it reports whether the source has another that can be used
// by now, also where somebody else has read it before.
func Renewed(ctx context.Context, s checks.Secret, refused string) (changed bool, said string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
	defer cancel()
	_, err := s.Renew(ctx)
	if err != nil {
		return false, "the key could not be read again"
	}
	value, err := Token(ctx, s)
	switch {
	case err != nil:
		return false, "the key could not be read again"
	case subtle.ConstantTimeCompare([]byte(value), []byte(refused)) == 0:
		return true, "the key's source has a new value"
	}
	return false, "the key's source has no other value"
}
