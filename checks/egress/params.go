package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
)

// The bounds of one check: every host is probed at the same time, and has up to five measurements.
const (
	maxHosts  = 32
	maxForbid = 32

	defaultPort    = 443
	defaultMinDays = 14
)

// Params is the `with:` section.
type Params struct {
	Hosts     []Host   `jsonschema_description:"Hosts that must be reachable, at most 32. They are probed at the same time." yaml:"hosts"`
	Forbid    []string `jsonschema_description:"host:port that must not be reachable, at most 32. One TCP connect each, directly, past the agent's own address guard; nothing is sent. A refused, unreachable or silent address passes. A name that does not resolve proves nothing and is unknown: give the address instead." yaml:"forbid"`
	Reference string   `jsonschema_description:"host:port of a host that has nothing to do with the others. When it fails too, a failure is blamed on the local network." yaml:"reference"`
}

// Host is one host that must be reachable.
type Host struct {
	Name            string   `jsonschema_description:"What the host is called in metrics; unique. Default: host, or host:port where the port is not 443." yaml:"name"`
	Host            string   `jsonschema:"required" jsonschema_description:"Name or address." yaml:"host"`
	Port            int      `jsonschema_description:"TCP port. Default: 443." yaml:"port"`
	Resolver        string   `jsonschema_description:"Address of the DNS server to ask, as 192.0.2.53 or 192.0.2.53:53. Default: the system's resolver." yaml:"resolver"`
	Families        []string `jsonschema_description:"Record types that must each have an answer: A, AAAA. Default: both are asked, one answer is enough." yaml:"families"`
	ExpectAddresses []string `jsonschema_description:"Addresses and CIDRs: every answer must be one of them or lie within one." yaml:"expect_addresses"`
	TLS             *bool    `jsonschema_description:"Make a TLS handshake and verify the chain and the name. Default: true." yaml:"tls"`
	ServerName      string   `jsonschema_description:"Name that the certificate must have, and that is sent as SNI. Default: host." yaml:"server_name"`
	MinDays         *int     `jsonschema_description:"Degraded when the chain expires in fewer days. 0 never. Default: 14." yaml:"min_days"`
	HTTP            *HTTP    `jsonschema_description:"Send one GET down the connection whose handshake was checked. Default: none." yaml:"http"`
}

// HTTP is the optional request to a host.
type HTTP struct {
	Path   string `jsonschema_description:"Path and query. It is not a place for secrets. Default: /." yaml:"path"`
	Status int    `jsonschema_description:"Status that is wanted. Default: any answer will do; redirects are never followed." yaml:"status"`
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	var errs []error
	if len(p.Hosts) == 0 && len(p.Forbid) == 0 {
		errs = append(errs, checks.Invalid("", "nothing to do, want hosts, forbid or both"))
	}
	if len(p.Hosts) > maxHosts {
		errs = append(errs, checks.Invalid("hosts", "%d hosts, want at most %d; make a second check", len(p.Hosts), maxHosts))
	}
	if len(p.Forbid) > maxForbid {
		errs = append(errs, checks.Invalid("forbid", "%d addresses, want at most %d; make a second check", len(p.Forbid), maxForbid))
	}
	names := map[string]int{}
	for i, h := range p.Hosts {
		path := fmt.Sprintf("hosts.%d", i)
		errs = append(errs, h.validate(path))
		if other, taken := names[h.label()]; taken {
			errs = append(errs, checks.Invalid(path, "%q is also hosts.%d, want a name of its own", h.label(), other))
		}
		names[h.label()] = i
	}
	for i, address := range p.Forbid {
		path := fmt.Sprintf("forbid.%d", i)
		errs = append(errs, validAddress(path, address))
		if other, taken := names[address]; taken {
			errs = append(errs, checks.Invalid(path, "%q is there twice (%d)", address, other))
		}
		names[address] = i
	}
	if p.Reference != "" {
		errs = append(errs, validAddress("reference", p.Reference))
	}
	return errors.Join(errs...)
}

func (h Host) validate(path string) error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, checks.Invalid(path+"."+key, format, args...))
	}
	if !validHost(h.Host) {
		bad("host", "%q, want a host name or an address, without scheme and port", h.Host)
	}
	if h.Port < 0 || h.Port > 65535 {
		bad("port", "%d, want 1 to 65535", h.Port)
	}
	if len(h.Name) > 100 {
		bad("name", "%d bytes, want at most 100", len(h.Name))
	}
	if h.MinDays != nil && *h.MinDays < 0 {
		bad("min_days", "%d, want 0 or more", *h.MinDays)
	}
	if !h.usesTLS() && h.ServerName != "" {
		bad("server_name", "it has no meaning without tls")
	}
	if h.ServerName != "" && !validHost(h.ServerName) {
		bad("server_name", "%q, want a host name", h.ServerName)
	}
	return errors.Join(errors.Join(errs...), h.validateDNS(path), h.HTTP.validate(path+".http"))
}

func (h Host) validateDNS(path string) error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, checks.Invalid(path+"."+key, format, args...))
	}
	if _, err := resolverAddress(h.Resolver); err != nil {
		bad("resolver", "%q, want an address such as 192.0.2.53 or 192.0.2.53:53", h.Resolver)
	}
	for i, family := range h.Families {
		if family != familyA && family != familyAAAA {
			bad(fmt.Sprintf("families.%d", i), "%q, want A or AAAA", family)
		}
	}
	for i, text := range h.ExpectAddresses {
		if _, err := parsePrefix(text); err != nil {
			bad(fmt.Sprintf("expect_addresses.%d", i), "%q, want an address or a CIDR such as 192.0.2.0/24", text)
		}
	}
	return errors.Join(errs...)
}

func (h *HTTP) validate(path string) error {
	if h == nil {
		return nil
	}
	var errs []error
	if h.Path != "" && (!strings.HasPrefix(h.Path, "/") || strings.ContainsFunc(h.Path, notInAPath)) {
		errs = append(errs, checks.Invalid(path+".path", "%q, want a path that begins with / and is escaped", h.Path))
	}
	if h.Status != 0 && (h.Status < 200 || h.Status > 599) {
		errs = append(errs, checks.Invalid(path+".status", "%d, want 200 to 599", h.Status))
	}
	return errors.Join(errs...)
}

func notInAPath(r rune) bool { return r <= ' ' || r >= 0x7f }

// label is the value of the attribute host.
func (h Host) label() string {
	switch {
	case h.Name != "":
		return h.Name
	case h.port() == defaultPort:
		return h.Host
	}
	return h.address()
}

func (h Host) port() int {
	if h.Port == 0 {
		return defaultPort
	}
	return h.Port
}

func (h Host) address() string { return net.JoinHostPort(h.Host, strconv.Itoa(h.port())) }

func (h Host) usesTLS() bool { return h.TLS == nil || *h.TLS }

func (h Host) minDays() int {
	if h.MinDays == nil {
		return defaultMinDays
	}
	return *h.MinDays
}

// url is what the proxy is chosen by.
func (h Host) url() string {
	if h.usesTLS() {
		return "https://" + h.address()
	}
	return "http://" + h.address()
}

// asksDNS reports whether the configuration says something about the answers themselves.
func (h Host) asksDNS() bool {
	return h.Resolver != "" || len(h.ExpectAddresses) > 0 || len(h.Families) > 0
}

func validHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInALabel) {
			return false
		}
	}
	return true
}

func notInALabel(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

func validAddress(path, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && validHost(host) {
		if n, err := strconv.Atoi(port); err == nil && n >= 1 && n <= 65535 {
			return nil
		}
	}
	return checks.Invalid(path, "%q, want host:port", address)
}

func resolverAddress(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(addr, 53).String(), nil
	}
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		return "", fmt.Errorf("resolver %q: %w", s, err)
	}
	return addr.String(), nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("prefix %q: %w", s, err)
	}
	return prefix.Masked(), nil
}
