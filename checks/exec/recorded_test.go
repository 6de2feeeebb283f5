package exec_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/checks/exec"
)

// replay is a Spawner that ends every program the same way.
type replay struct {
	ended checks.Ended
	err   error
	asked checks.Program
}

func (r *replay) Permits(string) error { return nil }

func (r *replay) Spawn(_ context.Context, p checks.Program) (checks.Ended, error) {
	r.asked = p
	return r.ended, r.err
}

func judged(t *testing.T, params string, ended checks.Ended, spawned error) (checks.Result, error) {
	t.Helper()
	check, err := exec.Kind().New(checktest.Decoder(params, key), checks.Env{Name: "plugin", Timeout: time.Second, Spawn: &replay{ended: ended, err: spawned}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.Run(t.Context())
	if err == nil {
		if err := checktest.Valid(r); err != nil {
			t.Errorf("the result is not valid: %v", err)
		}
	}
	return r, err
}

type value struct {
	Name, Label, Unit string
	Value             float64
}

func values(r checks.Result) []value {
	var out []value
	for _, m := range r.Measurements {
		out = append(out, value{m.Name, m.Attrs["label"], m.Attrs["unit"], m.Value})
	}
	return out
}

// Recorded on Debian 12 with monitoring-plugins-basic 2.3.3-5+deb12u2, November 2026; the numbers are as they came.
func TestRecordedPlugins(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stdout  string
		code    int
		status  checks.Status
		cause   checks.Cause
		summary string
		values  []value
		facts   map[string]string
	}{
		"check_dummy 1": {"WARNING\n", 1, checks.Degraded, checks.CauseAssertion, "WARNING", nil, nil},
		"check_dummy 3": {"UNKNOWN: hm\n", 3, checks.Unknown, checks.CauseConfig, "UNKNOWN: hm", nil, nil},
		"check_load -w 50,40,30 -c 90,80,70": {
			"LOAD OK - total load average: 19.52, 15.27, 9.21|load1=19.520;50.000;90.000;0; load5=15.270;40.000;80.000;0; load15=9.210;30.000;70.000;0; \n", 0,
			checks.OK, "", "LOAD OK - total load average: 19.52, 15.27, 9.21",
			[]value{{"probe.exec.value", "load1", "", 19.52}, {"probe.exec.value", "load5", "", 15.27}, {"probe.exec.value", "load15", "", 9.21}},
			map[string]string{"threshold load1": "warning 50.000, critical 90.000", "threshold load5": "warning 40.000, critical 80.000", "threshold load15": "warning 30.000, critical 70.000"},
		},
		"check_disk -w 99% -c 98% -p /": {
			"DISK CRITICAL - free space: / 74594MiB (79% inode=96%);| /=19574816768B;2705525309;5411050618;0;270552530944\n", 2,
			checks.Failed, checks.CauseAssertion, "DISK CRITICAL - free space: / 74594MiB (79% inode=96%);",
			[]value{{"probe.exec.size", "/", "", 19574816768}},
			map[string]string{"threshold /": "warning 2705525309, critical 5411050618"},
		},
		"check_http, another status": {
			"HTTP WARNING: HTTP/1.0 404 Not Found - 494 bytes in 0.018 second response time |time=0.018397s;0.000000;;0.000000;10.000000 size=494B;;;0;\n", 1,
			checks.Degraded, checks.CauseAssertion, "HTTP WARNING: HTTP/1.0 404 Not Found - 494 bytes in 0.018 second response time",
			[]value{{"probe.exec.time", "time", "", 0.018397}, {"probe.exec.size", "size", "", 494}},
			map[string]string{"threshold time": "warning 0.000000"},
		},
		"check_http, refused": {
			"connect to address 127.0.0.1 and port 1: Connection refused\nHTTP CRITICAL - Unable to open TCP socket\n", 2,
			checks.Failed, checks.CauseAssertion, "connect to address 127.0.0.1 and port 1: Connection refused", nil,
			map[string]string{"long_text": "HTTP CRITICAL - Unable to open TCP socket"},
		},
		"check_ping -w 100,50% -c 200,90%": {
			"PING OK - Packet loss = 0%, RTA = 0.06 ms|rta=0.063000ms;100.000000;200.000000;0.000000 pl=0%;50;90;0;\n", 0,
			checks.OK, "", "PING OK - Packet loss = 0%, RTA = 0.06 ms",
			[]value{{"probe.exec.time", "rta", "", 0.000063}, {"probe.exec.percent", "pl", "", 0}},
			map[string]string{"threshold rta": "warning 100.000000, critical 200.000000", "threshold pl": "warning 50, critical 90"},
		},
		"check_file_age": {
			"FILE_AGE OK: /etc/hostname is 1435 seconds old and 3 bytes | age=1435s;99999999;999999999 size=3B;0;0;0\n", 0,
			checks.OK, "", "FILE_AGE OK: /etc/hostname is 1435 seconds old and 3 bytes",
			[]value{{"probe.exec.time", "age", "", 1435}, {"probe.exec.size", "size", "", 3}},
			map[string]string{"threshold age": "warning 99999999, critical 999999999", "threshold size": "warning 0, critical 0"},
		},
		"check_swap with the wrong arguments": {
			"check_swap: Could not parse arguments\nUsage:\n check_swap [-av] -w <percent_free>% -c <percent_free>%\n  -w <bytes_free> -c <bytes_free> [-n <state>]\n", 3,
			checks.Unknown, checks.CauseConfig, "check_swap: Could not parse arguments", nil,
			map[string]string{"long_text": "Usage: check_swap [-av] -w <percent_free>% -c <percent_free>% -w <bytes_free> -c <bytes_free> [-n <state>]"},
		},
		"check_icmp -n 1": {
			"OK - 127.0.0.1: rta 0.025ms, lost 0%|rta=0.025ms;200.000;500.000;0; pl=0%;40;80;; rtmax=0.025ms;;;; rtmin=0.025ms;;;; \n", 0,
			checks.OK, "", "OK - 127.0.0.1: rta 0.025ms, lost 0%",
			[]value{{"probe.exec.time", "rta", "", 0.000025}, {"probe.exec.percent", "pl", "", 0}, {"probe.exec.time", "rtmax", "", 0.000025}, {"probe.exec.time", "rtmin", "", 0.000025}},
			map[string]string{"threshold rta": "warning 200.000, critical 500.000", "threshold pl": "warning 40, critical 80"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := judged(t, "argv: [/p]", checks.Ended{Stdout: tc.stdout, Code: tc.code}, nil)
			if err != nil || r.Status != tc.status || r.Cause != tc.cause || r.Summary != tc.summary {
				t.Errorf("got %s %q %q, %v, want %s %q %q", r.Status, r.Cause, r.Summary, err, tc.status, tc.cause, tc.summary)
			}
			near := cmp.Comparer(func(a, b float64) bool { return a == b || a-b < 1e-12 && b-a < 1e-12 })
			if diff := cmp.Diff(tc.values, values(r), near); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if tc.facts == nil {
				tc.facts = map[string]string{}
			}
			if diff := cmp.Diff(tc.facts, r.Facts); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}
