package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/windsock-monitor/windsock/checks"
)

const (
	familyA    = "A"
	familyAAAA = "AAAA"

	dnsTries    = 3
	dnsPatience = 2 * time.Second // for one datagram
)

// lookup is what one record type of one name gave.
type lookup struct {
	family  string
	answers []netip.Addr
	problem *problem
}

// resolve asks for both families at the same time and judges the answers. It returns what was found also when that was
// not what was expected.
func (e *Egress) resolve(ctx context.Context, h Host) ([]netip.Addr, *problem) {
	families := h.Families
	if len(families) == 0 {
		families = []string{familyA, familyAAAA}
	}
	found := make([]lookup, len(families))
	var wg sync.WaitGroup
	for i, family := range families {
		wg.Go(func() { found[i] = e.lookup(ctx, h, family) })
	}
	wg.Wait()
	var answers []netip.Addr
	for _, l := range found {
		answers = append(answers, l.answers...)
	}
	for _, l := range found {
		if l.problem != nil && (len(answers) == 0 || len(h.Families) > 0) {
			return answers, l.problem
		}
	}
	return answers, unexpected(answers, h.ExpectAddresses)
}

func (e *Egress) lookup(ctx context.Context, h Host, family string) lookup {
	answers, problem := e.ask(ctx, h, family)
	if problem == nil && len(answers) == 0 {
		problem = failed(checks.CauseDNS, "no "+family+" record")
	}
	return lookup{family, answers, problem}
}

func (e *Egress) ask(ctx context.Context, h Host, family string) ([]netip.Addr, *problem) {
	server, err := resolverAddress(h.Resolver)
	if err != nil {
		return nil, unknown(checks.CauseConfig, "the resolver's address cannot be read")
	}
	if server != "" {
		return e.askServer(ctx, server, h.Host, family)
	}
	network := map[string]string{familyA: "ip4", familyAAAA: "ip6"}[family]
	answers, err := net.DefaultResolver.LookupNetIP(ctx, network, h.Host)
	if err != nil {
		return nil, ofLookup(ctx, err, family)
	}
	for i := range answers {
		answers[i] = answers[i].Unmap()
	}
	return answers, nil
}

// ofLookup classifies an error of the system's resolver.
func ofLookup(ctx context.Context, err error, family string) *problem {
	if p := ours(ctx, err); p != nil {
		return p
	}
	var (
		lookup  *net.DNSError
		address *net.AddrError // "no suitable address": the name exists, this family does not
	)
	switch {
	case errors.As(err, &address), errors.As(err, &lookup) && lookup.IsNotFound:
		return failed(checks.CauseDNS, "the name does not exist, or has no "+family+" record")
	case timedOut(ctx, err):
		return failed(checks.CauseDNS, "no DNS answer in time")
	}
	return failed(checks.CauseDNS, "the system's resolver failed")
}

// askServer asks one server over UDP, and over TCP where the answer was cut. A lost datagram is sent again.
func (e *Egress) askServer(ctx context.Context, server, host, family string) ([]netip.Addr, *problem) {
	query := new(dns.Msg).SetQuestion(dns.Fqdn(host), dns.StringToType[family]).SetEdns0(1232, false)
	var (
		answer *dns.Msg
		err    error
	)
	for range dnsTries {
		answer, err = e.exchange(ctx, "udp", server, query)
		if err == nil || ctx.Err() != nil || !timedOut(ctx, err) {
			break
		}
	}
	if err == nil && answer.Truncated {
		answer, err = e.exchange(ctx, "tcp", server, query)
	}
	if err != nil {
		if p := ours(ctx, err); p != nil {
			return nil, p
		}
		if timedOut(ctx, err) {
			return nil, failed(checks.CauseDNS, "no answer in time from "+server)
		}
		return nil, failed(checks.CauseDNS, "the resolver "+server+" failed")
	}
	if answer.Rcode != dns.RcodeSuccess {
		return nil, failed(checks.CauseDNS, fmt.Sprintf("%s answered %s", server, rcode(answer.Rcode)))
	}
	return addresses(answer, family), nil
}

func (e *Egress) exchange(ctx context.Context, network, server string, query *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsPatience)
	defer cancel()
	conn, err := e.net.DialContext(ctx, network, server)
	if err != nil {
		return nil, fmt.Errorf("reaching the resolver: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	client := &dns.Client{Net: network, Timeout: dnsPatience, UDPSize: 1232}
	answer, _, err := client.ExchangeWithConnContext(ctx, query.Copy(), &dns.Conn{Conn: conn, UDPSize: 1232})
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("asking the resolver: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("asking the resolver: %w", err)
	}
	return answer, nil
}

func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("RCODE %d", code)
}

func addresses(answer *dns.Msg, family string) []netip.Addr {
	var found []netip.Addr
	for _, record := range answer.Answer {
		var ip net.IP
		switch r := record.(type) {
		case *dns.A:
			ip = r.A
		case *dns.AAAA:
			ip = r.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok && addr.Unmap().Is4() == (family == familyA) {
			found = append(found, addr.Unmap())
		}
	}
	return found
}

// unexpected says which answer is not within what was expected.
func unexpected(answers []netip.Addr, expect []string) *problem {
	if len(expect) == 0 {
		return nil
	}
	prefixes := make([]netip.Prefix, 0, len(expect))
	for _, text := range expect {
		if prefix, err := parsePrefix(text); err == nil {
			prefixes = append(prefixes, prefix)
		}
	}
	for _, answer := range answers {
		if !slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(answer) }) {
			return failed(checks.CauseAssertion, fmt.Sprintf("resolves to %s, which is not in expect_addresses", answer))
		}
	}
	return nil
}

func listed(answers []netip.Addr) string {
	const most = 4
	texts := make([]string, 0, most+1)
	for i, a := range answers {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %d more", len(answers)-most))
			break
		}
		texts = append(texts, a.String())
	}
	return strings.Join(texts, " ")
}
