package egress_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// blackhole swallows every connection.
type blackhole struct{}

func (blackhole) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
}

func (b blackhole) DialUnguarded(ctx context.Context, network, address string) (net.Conn, error) {
	return b.DialContext(ctx, network, address)
}
func (blackhole) ProxyFor(string) (*url.URL, error) { return nil, nil }
func (blackhole) TLSConfig() *tls.Config            { return nil }

func TestSilence(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		params  string
		timeout time.Duration
		took    time.Duration
		want    want
	}{
		"a forbidden address that is silent passes after 3s": {"forbid: ['192.0.2.1:80']", 30 * time.Second, 3 * time.Second, want{status: checks.OK}},
		"a short silence proves nothing":                     {"forbid: ['192.0.2.1:80']", 800 * time.Millisecond, 720 * time.Millisecond, want{checks.Unknown, checks.CauseTimeoutConnect, "", "too little time"}},
		"a silent host fails before the deadline":            {"hosts: [{host: 192.0.2.1}]", 10 * time.Second, 9500 * time.Millisecond, want{checks.Failed, checks.CauseTimeoutConnect, "", "no connection in time"}},
		"without a deadline there is one of a minute":        {"hosts: [{host: 192.0.2.1}]", 0, time.Minute, want{checks.Failed, checks.CauseTimeoutConnect, "", "no connection in time"}},
		"everything is silent: our own network":              {"hosts: [{host: 192.0.2.1}]\nforbid: ['192.0.2.2:80']\nreference: 192.0.2.3:443", 10 * time.Second, 9500 * time.Millisecond, want{checks.Failed, checks.CauseTimeoutConnect, checks.BlameLocal, "192.0.2.1: no connection"}},
		"nothing but silence for a forbidden address":        {"forbid: ['192.0.2.2:80']\nreference: 192.0.2.3:443", 10 * time.Second, 9500 * time.Millisecond, want{checks.Unknown, checks.CauseConnect, checks.BlameLocal, "neither is the reference"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tc.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.timeout)
					defer cancel()
				}
				start := time.Now()
				expect(t, runWithin(ctx, t, tc.params, blackhole{}), tc.want)
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
			})
		})
	}
}
