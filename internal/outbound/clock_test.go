package outbound_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

// TestAWrongClockIsOurFault: a host that believes it is 2000, as the bubble does, finds no certificate valid yet, and must
// not say that the provider's is bad.
func TestAWrongClockIsOurFault(t *testing.T) {
	t.Parallel()
	year := func(n int) time.Time { return time.Date(n, time.June, 1, 0, 0, 0, 0, time.UTC) }
	refused := func(from, to time.Time) error {
		return &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{NotBefore: from, NotAfter: to}}}
	}
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			err    error
			cause  checks.Cause
			reason string
		}{
			"not valid yet":         {refused(year(2026), year(2027)), checks.CauseConfig, "clock"},
			"expired even for 2000": {refused(year(1998), year(1999)), checks.CauseTLS, "expired"},
		} {
			if got := outbound.ExplainTLS(test.err); got.Cause != test.cause || got.Reason != test.reason {
				t.Errorf("%s: %s %s, want %s %s", name, got.Cause, got.Reason, test.cause, test.reason)
			}
		}
	})
	tomorrow := time.Now().Add(24 * time.Hour)
	if got := outbound.ExplainTLS(refused(tomorrow, tomorrow.Add(time.Hour))); got.Cause != checks.CauseTLS || got.Reason != "not_yet_valid" {
		t.Errorf("with a clock that can be right: %s %s, want tls not_yet_valid", got.Cause, got.Reason)
	}
}
