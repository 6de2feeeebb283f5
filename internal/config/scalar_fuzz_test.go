package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/config"
)

// FuzzScalars: whatever stands where a duration, a size and a sum of money are wanted, the file is refused or the value is
// within its bounds.
func FuzzScalars(f *testing.F) {
	f.Add("30s", "512MiB", "0.05")
	f.Add("7d12h", "1 GB", "100000")
	f.Add("65535d", "9223372036854775807B", "0.000000000001")
	f.Add("-1s", "1e9", "1e-3")
	f.Add("1d-1h", "0x10MiB", ".5")
	f.Add("99999999999h", "9999999999TiB", "999999999999999999.9")
	f.Fuzz(func(t *testing.T, duration, size, money string) {
		if strings.ContainsAny(duration+size+money, "\r\n{}[],#") {
			return // another structure, which FuzzParse looks at
		}
		cfg, err := config.Parse("fuzz.yaml", fmt.Appendf(nil, `
providers: {mistral: {base_url: "http://127.0.0.1:1", api_key: {env: KEY}, stall_after: %s}}
checks: [{name: a, kind: alpha, provider: mistral, schedule: "@every 60s"}]
exporters: [{name: out, kind: sink}]
store: {max_size: %s}
budget: {per_hour: %s}
`, duration, size, money), options(nil))
		if err != nil {
			return
		}
		if d := cfg.Providers[0].StallAfter; d < 0 {
			t.Errorf("%q became %s", duration, d)
		}
		if n := cfg.Store.MaxSize; n < 0 {
			t.Errorf("%q became %d bytes", size, n)
		}
		if m := cfg.Budget.PerHour; m < 0 || m > 100_000*checks.Dollar {
			t.Errorf("%q became %s", money, m)
		}
	})
}
