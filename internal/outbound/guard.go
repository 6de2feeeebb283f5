package outbound

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// errGuarded is the address guard's refusal.
var errGuarded = errors.New("refused by the agent's address guard: link-local or metadata address")

// guard refuses the addresses under which clouds hand out credentials. It looks at addresses after resolution, so that
// neither an odd spelling nor a name that resolves to them gets past it. Behind a proxy the proxy resolves: there only
// literal addresses and well-known names can be refused.
type guard struct{ allow []netip.Prefix }

// metadataAddresses are those outside the link-local ranges. Sources: the clouds' own documentation of their metadata
// services, as of 2026: EC2 over IPv6, EKS pod identity, Alibaba, Oracle, Azure's host service, Google over IPv6, Scaleway.
func metadataAddresses() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),
		netip.MustParseAddr("fd00:ec2::23"),
		netip.MustParseAddr("100.100.100.200"),
		netip.MustParseAddr("192.0.0.192"),
		netip.MustParseAddr("168.63.129.16"),
		netip.MustParseAddr("fd20:ce::254"),
		netip.MustParseAddr("fd00:42::42"),
	}
}

// control is net.Dialer.ControlContext: it sees the address that is about to be dialled.
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address) // anything else is a unix socket
	if err == nil && g.refuses(target.Addr()) {
		return fmt.Errorf("%s: %w", target.Addr(), errGuarded)
	}
	return nil
}

// refuses reports whether an address is guarded and not allowed.
func (g guard) refuses(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	forms := []netip.Addr{addr}
	if inner, ok := embedded(addr); ok {
		forms = append(forms, inner)
	}
	for _, form := range forms {
		if slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(form) }) {
			return false
		}
	}
	return slices.ContainsFunc(forms, guarded)
}

func guarded(addr netip.Addr) bool {
	return addr.IsLinkLocalUnicast() || slices.Contains(metadataAddresses(), addr)
}

// embedded returns the IPv4 address within an IPv6 one that gateways translate: IPv4-compatible, NAT64 and 6to4.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case netip.MustParsePrefix("::/96").Contains(addr), netip.MustParsePrefix("64:ff9b::/96").Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case netip.MustParsePrefix("2002::/16").Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// refusesHost is for hosts that a proxy will resolve.
func (g guard) refusesHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "metadata.google.internal" || host == "metadata" || host == "instance-data.ec2.internal" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		var ok bool
		if addr, ok = parseLoose(host); !ok {
			return false
		}
	}
	return g.refuses(addr)
}

// parseLoose reads the spellings of IPv4 addresses that inet_aton takes: one to four parts, each decimal, octal or
// hexadecimal, the last one filling the rest ("0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376").
func parseLoose(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil || strings.Contains(part, "_") {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			if n > math.MaxUint8 {
				return netip.Addr{}, false
			}
			value = value<<8 | n
			continue
		}
		width := 8 * (5 - len(parts))
		if n >= 1<<width {
			return netip.Addr{}, false
		}
		value = value<<width | n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}
