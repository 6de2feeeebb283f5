package outbound_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
	"github.com/windsock-monitor/windsock/internal/outbound/outboundtest"
)

func TestTheGuardRefusesMetadataAddresses(t *testing.T) {
	t.Parallel()
	n := network(t, outbound.Options{Resolver: outboundtest.Resolver(t, outboundtest.Address("169.254.169.254"))})
	addresses := map[string]string{
		"the classic":                  "169.254.169.254:80",
		"another link-local one":       "169.254.170.2:80",
		"link-local IPv6":              "[fe80::1]:80",
		"link-local IPv6 with a zone":  "[fe80::1%lo]:80",
		"EC2 over IPv6":                "[fd00:ec2::254]:80",
		"Alibaba":                      "100.100.100.200:80",
		"Azure's host":                 "168.63.129.16:80",
		"mapped into IPv6":             "[::ffff:169.254.169.254]:80",
		"mapped, in hexadecimal":       "[::ffff:a9fe:a9fe]:80",
		"IPv4-compatible":              "[::169.254.169.254]:80",
		"through NAT64":                "[64:ff9b::a9fe:a9fe]:80",
		"through 6to4":                 "[2002:a9fe:a9fe::1]:80",
		"a name that resolves to it":   "rebind.test.:80",
		"a number that resolves to it": "0xa9fea9fe.:80",
	}
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			conn, err := n.DialContext(ctx, "tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			wantFailure(t, err, checks.CauseConfig, "connect", "guard", false)
			_, _, err = fetch(ctx, n, outbound.Request{URL: "http://rebind.test./latest?token=hunter2"})
			wantFailure(t, err, checks.CauseConfig, "connect", "guard", false)
		})
	}
}

func TestTheGuardLetsTheRestThrough(t *testing.T) {
	t.Parallel()
	address := outboundtest.Refused(t)
	n := network(t, outbound.Options{})
	_, err := n.DialContext(t.Context(), "tcp", address)
	wantFailure(t, err, checks.CauseConnect, "connect", "refused", false)
}

func TestTheAllowListOverridesTheGuard(t *testing.T) {
	t.Parallel()
	n := network(t, outbound.Options{AllowAddresses: []netip.Prefix{
		netip.MustParsePrefix("::ffff:169.254.10.0/120"), netip.MustParsePrefix("fe80::/10"),
	}})
	tests := map[string]struct {
		address string
		guarded bool
	}{
		"within the exception":         {"169.254.10.7:1", false},
		"within it, mapped":            {"[::ffff:169.254.10.7]:1", false},
		"beside the exception":         {"169.254.11.7:1", true},
		"another family's exception":   {"[fe80::1%lo]:1", false},
		"not covered by either prefix": {"[fd00:ec2::254]:1", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			conn, err := n.DialContext(ctx, "udp", tt.address) // UDP sends nothing to connect
			if err == nil {
				_ = conn.Close()
			}
			failure, _ := errors.AsType[*outbound.Failure](err)
			if got := failure != nil && failure.Reason == "guard"; got != tt.guarded {
				t.Errorf("guarded: got %v, want %v: %v", got, tt.guarded, err)
			}
		})
	}
}

func TestDialUnguardedPassesTheGuard(t *testing.T) {
	t.Parallel()
	n := network(t, outbound.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := n.DialUnguarded(ctx, "udp", "169.254.169.254:1")
	if err == nil {
		_ = conn.Close()
		return
	}
	if failure, ok := errors.AsType[*outbound.Failure](err); !ok || failure.Reason == "guard" {
		t.Errorf("got %v", err)
	}
}

// What the proxy resolves cannot be seen; what is written out can.
func TestTheGuardLooksAtWhatAProxyWouldResolve(t *testing.T) {
	t.Parallel()
	proxy := startProxy(t, nil)
	n := network(t, outbound.Options{HTTPProxy: proxy.url, HTTPSProxy: proxy.url})
	for _, host := range []string{
		"169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "169.254.43518", "[::ffff:169.254.169.254]",
		"metadata.google.internal", "Metadata.Google.Internal.",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, _, err := fetch(ctx, n, outbound.Request{URL: "http://" + host + "/latest"})
		wantFailure(t, err, checks.CauseConfig, "connect", "guard", false)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/latest", http.NoBody)
		if resp, err := n.Client().Do(req); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: the client went there", host)
		}
		cancel()
	}
	if got := proxy.seen.Load(); got != 0 {
		t.Errorf("the proxy saw %d requests", got)
	}
}
