package drill_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/drill"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// What is wrong in the drill's world looks to the agent's own network as it does in the real one.
func TestTheWorldIsBrokenAsTheRealOneIs(t *testing.T) {
	t.Parallel()
	const host = "api.example"
	w, ca, err := drill.NewWorld(t.Context(), host+":443", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	network, err := outbound.New(outbound.Options{CAFile: ca, Dial: w.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(network.Close)
	tests := []struct {
		name, dns, connect, tls, url string
		cause                        checks.Cause
		reason                       string
	}{
		{name: "all is well"},
		{name: "another host", url: "https://other.example", cause: checks.CauseDNS, reason: "nxdomain"},
		{name: "another port", url: "https://" + host + ":8443", cause: checks.CauseConnect, reason: "refused"},
		{name: "no such name", dns: "nxdomain", cause: checks.CauseDNS, reason: "nxdomain"},
		{name: "a server that fails", dns: "servfail", cause: checks.CauseDNS, reason: "servfail"},
		{name: "a server that says nothing", dns: "timeout", cause: checks.CauseDNS, reason: "timeout"},
		{name: "nobody listens", connect: "refused", cause: checks.CauseConnect, reason: "refused"},
		{name: "no way there", connect: "unreachable", cause: checks.CauseConnect, reason: "unreachable"},
		{name: "a firewall that says nothing", connect: "timeout", cause: checks.CauseTimeoutConnect, reason: "timeout"},
		{name: "an old certificate", tls: "expired", cause: checks.CauseTLS, reason: "expired"},
		{name: "somebody else's certificate", tls: "wrong_host", cause: checks.CauseTLS, reason: "wrong_host"},
		{name: "an authority that nobody knows", tls: "unknown_ca", cause: checks.CauseTLS, reason: "unknown_ca"},
		{name: "well again"},
	}
	for _, test := range tests { // one after another: it is one world
		w.Break(host, test.dns, test.connect, test.tls)
		patience := 10 * time.Second
		if test.dns == "timeout" || test.connect == "timeout" {
			patience = 50 * time.Millisecond
		}
		cause, reason := ask(t, network, orElse(test.url, "https://"+host), patience)
		if cause != test.cause || reason != test.reason {
			t.Errorf("%s: got %q, %q, want %q, %q", test.name, cause, reason, test.cause, test.reason)
		}
	}
}

func orElse(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// ask is why there is no answer; empty where there is one.
func ask(t *testing.T, network *outbound.Network, url string, patience time.Duration) (cause checks.Cause, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := network.Open(ctx, outbound.Request{Method: http.MethodGet, URL: url})
	if err == nil {
		_ = answer.Body.Close()
		return checks.CauseNone, ""
	}
	failure, ok := errors.AsType[*outbound.Failure](err)
	if !ok {
		t.Fatalf("got %v, want a failure", err)
	}
	return failure.Cause, failure.Reason
}
