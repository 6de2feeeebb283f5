// Package mistraltest gives tests of checks the real client of the API.
package mistraltest

import (
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/mistral"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Client is a client of the API at baseURL, whose connections are closed when the test ends.
func Client(t *testing.T, baseURL string, key checks.Secret) *mistral.Client {
	t.Helper()
	c, err := mistral.New(options(t, baseURL, key))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Keyed is a client with two keys, of which the second may be absent, whose connections are closed when the test ends.
func Keyed(t *testing.T, baseURL string, key, fallback checks.Secret) *mistral.Keyed {
	t.Helper()
	k, err := mistral.NewKeyed(options(t, baseURL, key), fallback, false)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func options(t *testing.T, baseURL string, key checks.Secret) mistral.Options {
	t.Helper()
	n, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return mistral.Options{BaseURL: baseURL, APIKey: key, Out: n}
}
