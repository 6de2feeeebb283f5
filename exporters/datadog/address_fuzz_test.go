package datadog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/datadog"
)

// FuzzAddress: whatever stands for the agent's address, in a parameter or in the variables, there is an exporter or an
// error of one line.
func FuzzAddress(f *testing.F) {
	f.Add("unix:///var/run/datadog/dsd.socket", "", "")
	f.Add("", "127.0.0.1", "8125")
	f.Add("[::1]:8125", "::1", "0")
	f.Add("udp://host:99999", "unix://relative", "x")
	f.Add("unixgram:///\x00", "http://host", "-1")
	f.Fuzz(func(t *testing.T, address, host, port string) {
		vars := map[string]string{"DD_AGENT_HOST": host, "DD_DOGSTATSD_PORT": port}
		e, err := datadog.New(datadog.Params{Address: address, Timeout: time.Second}, exporters.Env{Getenv: func(k string) string { return vars[k] }})
		switch {
		case err != nil && strings.ContainsAny(err.Error(), "\n\x00"):
			t.Errorf("an error of many lines: %q", err)
		case err == nil && e == nil:
			t.Error("neither exporter nor error")
		}
	})
}
