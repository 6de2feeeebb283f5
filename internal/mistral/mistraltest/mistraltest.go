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
	n, err := outbound.New(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	c, err := mistral.New(mistral.Options{BaseURL: baseURL, APIKey: key, Out: n})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
