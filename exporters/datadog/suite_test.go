package datadog_test

import (
	"testing"

	"github.com/windsock-monitor/windsock/exporters/datadog"
	"github.com/windsock-monitor/windsock/exporters/exportertest"
)

func refused() map[string]string {
	return map[string]string{
		"another scheme":        "address: http://127.0.0.1:8125\n",
		"a relative socket":     "address: unix://dsd.socket\n",
		"a port that is none":   "address: 127.0.0.1:70000\n",
		"an empty tag":          "tags: [\"  \"]\n",
		"a bad namespace":       "namespace: a-b\n",
		"a packet too small":    "max_message_bytes: 100\n",
		"a packet too large":    "max_message_bytes: 70000\n",
		"no time to send":       "timeout: 0s\n",
		"a time that is no":     "timeout: soon\n",
		"tags that are no list": "tags: {a: b}\n",
	}
}

func TestTheSuiteOverASocket(t *testing.T) {
	hermetic(t)
	exportertest.Run(t, exportertest.Options{
		Kind: datadog.Kind(), Page: "../../docs/exporters/datadog.md", Refused: refused(),
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			path := socketPath(t)
			if fault == exportertest.Works {
				listenUnix(t, path)
			}
			return exportertest.Case{With: "address: unix://" + path + "\n"}, fault == exportertest.Works || fault == exportertest.Absent
		},
	})
}

func TestTheSuiteOverUDP(t *testing.T) {
	hermetic(t)
	exportertest.Run(t, exportertest.Options{
		Kind: datadog.Kind(), Refused: refused(),
		Backend: func(t *testing.T, fault exportertest.Fault) (exportertest.Case, bool) {
			t.Helper()
			_, addr := listenUDP(t)
			if fault == exportertest.Absent {
				addr = unused(t)
			}
			return exportertest.Case{With: "address: " + addr + "\n"}, fault == exportertest.Works || fault == exportertest.Absent
		},
	})
}
