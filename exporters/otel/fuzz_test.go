package otel_test

import (
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/otel"
)

// FuzzVariables: whatever the environment holds, New builds an exporter or says which variable is wrong, and shows no
// header's value.
func FuzzVariables(f *testing.F) {
	f.Add("http://127.0.0.1:4318/base", "x-a=b%20c,x-d=e", "1000", "a=b,c=d%zz")
	f.Add("127.0.0.1", "authorization=Bearer%20hush", "-1", "=")
	f.Add("unix:///x", ",,=,", "1e9", ",")
	f.Fuzz(func(t *testing.T, endpoint, headers, timeout, resource string) {
		const hush = "canary-5e0f"
		all := map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": headers + ",x-key=" + hush + "%zz",
			"OTEL_EXPORTER_OTLP_TIMEOUT": timeout, "OTEL_RESOURCE_ATTRIBUTES": resource,
		}
		_, err := otel.New(otel.Params{Events: otel.EventsAll}, exporters.Env{Getenv: func(k string) string { return all[k] }})
		if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_") || strings.Contains(err.Error(), hush) {
			t.Errorf("%v, want an error that names a variable and shows no value", err)
		}
	})
}
