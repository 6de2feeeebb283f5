package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/windsock-monitor/windsock/internal/config"
)

// TestMentionsAreThePathsOfTheHost: whatever kind reads them, and nothing that only looks like one.
func TestMentionsAreThePathsOfTheHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "schedules.yaml")
	text := `
network: {ca_file: own.pem}
providers:
  mistral:
    base_url: https://api.example
    api_key: [{credential: key}, {file: /etc/windsock/secrets/mistral}, {command: [/usr/bin/vault, read, /not/this]}]
checks:
  - {name: a, kind: exec, with: {argv: [/usr/lib/monitoring/check_disk, /neither/this]}}
  - {name: b, kind: app, with: {health: {path: /health}}}
exporters:
  - {name: dd, kind: datadog, with: {address: "unix:///var/run/datadog/dsd.socket"}}
  - {name: otel, kind: otel, with: {tls: {ca_file: below-where-it-runs.pem, key_file: /etc/key.pem}}}
plugins:
  - {name: p, path: /usr/lib/windsock/plugins/p}
prices: {file: prices.yaml}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := config.Mentions(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		got = append(got, fmt.Sprintf("%d %s %s %s", m.Line, m.In, m.Key, m.Path))
	}
	want := []string{
		"2 network ca_file " + dir + "/own.pem", "6 providers file /etc/windsock/secrets/mistral", "6 providers command /usr/bin/vault",
		"8 checks argv /usr/lib/monitoring/check_disk", "11 exporters unix /var/run/datadog/dsd.socket", "12 exporters ca_file below-where-it-runs.pem", "12 exporters key_file /etc/key.pem", "14 plugins path /usr/lib/windsock/plugins/p",
		"15 prices file " + dir + "/prices.yaml",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
