package outbound_test

import (
	"net/netip"
	"testing"

	"github.com/windsock-monitor/windsock/internal/outbound"
)

// FuzzGuard: no spelling of a host makes the guard panic, and every canonical spelling of a link-local address is refused.
func FuzzGuard(f *testing.F) {
	for _, host := range []string{
		"169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "169.254.43518", "::ffff:169.254.169.254",
		"64:ff9b::a9fe:a9fe", "metadata.google.internal", "fe80::1%lo", "0x", "1.2.3.4.5", "999999999999", "127.1", "_", "",
	} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		refused := outbound.RefusesHost(host)
		if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().IsLinkLocalUnicast() && !refused {
			t.Errorf("%q passed the guard", host)
		}
		if refused != outbound.RefusesHost(host+".") && host != "" && host[len(host)-1] != '.' && host[len(host)-1] != '%' {
			t.Errorf("%q and the same with a dot at its end are not judged alike", host)
		}
	})
}
