package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// resolverPatience is how long one resolver may take for one question. Programs wait five seconds before they ask the next.
const resolverPatience = 2 * time.Second

// resolver asks each resolver of /etc/resolv.conf for itself: what is tried one after the other hides the one that is dead.
func (m machine) resolver(ctx context.Context) []Finding {
	const subject = "resolver"
	conf, err := dns.ClientConfigFromFile(m.at("/etc/resolv.conf"))
	const look = "cat /etc/resolv.conf; resolvectl status"
	switch {
	case err != nil:
		return one(Finding{subject, Wrong, "/etc/resolv.conf cannot be read (" + reason(err) + "): names are asked of this host itself, where nobody answers", look})
	case len(conf.Servers) == 0:
		return one(Finding{subject, Wrong, "/etc/resolv.conf names no resolver: names are asked of this host itself, where nobody answers", look})
	}
	var out []Finding
	if conf.Ndots > 1 && len(conf.Search) > 0 {
		out = append(out, Finding{
			subject, Warning, fmt.Sprintf("ndots:%d with %d search domains: each name of fewer dots is asked for %d times before it is asked for itself", conf.Ndots, len(conf.Search), len(conf.Search)),
			"grep -E 'search|ndots' /etc/resolv.conf   # want ndots:1",
		})
	}
	name := m.question()
	if name == "" {
		return append(out, ok(subject, "%s; there is no name to ask for", strings.Join(conf.Servers, ", ")))
	}
	return append(out, judgeResolvers(name, conf.Servers, askAll(ctx, name, conf))...)
}

func reason(err error) string {
	if pe, is := errors.AsType[*net.OpError](err); is {
		return pe.Err.Error()
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}

// question is the first name that is one.
func (m machine) question() string {
	for _, name := range m.Names {
		if net.ParseIP(name) == nil && name != "localhost" {
			return name
		}
	}
	return ""
}

// reply is what one resolver said.
type reply struct {
	err    error
	code   int // of the question for A
	four   int // addresses of each family
	six    int
	slow   error // of the question for AAAA
	took   time.Duration
	server string
}

func askAll(ctx context.Context, name string, conf *dns.ClientConfig) []reply {
	out := make([]reply, len(conf.Servers))
	var asking sync.WaitGroup
	for i, server := range conf.Servers {
		asking.Go(func() { out[i] = ask(ctx, name, server, net.JoinHostPort(server, conf.Port)) })
	}
	asking.Wait()
	return out
}

// ask puts the questions for both families at the same time, as programs do.
func ask(ctx context.Context, name, server, address string) reply {
	client := &dns.Client{Timeout: resolverPatience}
	put := func(kind uint16) (*dns.Msg, error) {
		question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
		question.SetEdns0(1232, false)
		answer, _, err := client.ExchangeContext(ctx, question, address)
		return answer, err
	}
	r := reply{server: server}
	var six *dns.Msg
	var other sync.WaitGroup
	began := time.Now()
	other.Go(func() { six, r.slow = put(dns.TypeAAAA) })
	four, err := put(dns.TypeA)
	r.took, r.err = time.Since(began), err
	other.Wait()
	if four != nil {
		r.code, r.four = four.Rcode, count(four, dns.TypeA)
	}
	if six != nil {
		r.six = count(six, dns.TypeAAAA)
		if six.Rcode != dns.RcodeSuccess && six.Rcode != r.code {
			r.slow = errors.New(dns.RcodeToString[six.Rcode])
		}
	}
	return r
}

func count(m *dns.Msg, kind uint16) int {
	n := 0
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == kind {
			n++
		}
	}
	return n
}

func judgeResolvers(name string, servers []string, replies []reply) []Finding {
	var out []Finding
	dead := 0
	for _, r := range replies {
		if r.err != nil {
			dead++
		}
	}
	for i := range replies {
		out = append(out, replies[i].judge(name, dead == len(servers)))
	}
	return out
}

func (r *reply) judge(name string, alone bool) Finding {
	subject := "resolver " + r.server
	look := "resolvectl query " + quote(name) + " || dig @" + r.server + " " + quote(name)
	switch {
	case r.err != nil && alone:
		return Finding{subject, Wrong, "does not answer (" + reason(r.err) + "), nor does any other", "cat /etc/resolv.conf; " + look}
	case r.err != nil:
		return Finding{subject, Warning, "does not answer (" + reason(r.err) + "): each lookup that begins with it waits five seconds", "ls -l /etc/resolv.conf; resolvectl dns   # take " + r.server + " out of what writes the file"}
	case r.code == dns.RcodeServerFailure || r.code == dns.RcodeRefused:
		return Finding{subject, Warning, fmt.Sprintf("says %s of %s", dns.RcodeToString[r.code], name), look}
	case r.code == dns.RcodeNameError:
		return Finding{subject, Warning, "knows no " + name, look}
	case r.slow != nil:
		return Finding{subject, Warning, fmt.Sprintf("answers for IPv4 and not for IPv6 (%s): lookups wait for both", reason(r.slow)), "resolvectl query -t AAAA " + quote(name) + " || dig AAAA @" + r.server + " " + quote(name)}
	case r.four == 0 && r.six > 0 && !sixthVersion():
		return Finding{subject, Warning, name + " has addresses of IPv6 only, and this host has no way to them", "ip -6 route show default"}
	}
	return ok(subject, "answered in %s", r.took.Round(time.Millisecond))
}

// sixthVersion reports whether the host has an address of IPv6 by which others can be reached.
func sixthVersion() bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return true // nobody knows
	}
	for _, a := range addresses {
		if n, is := a.(*net.IPNet); is && n.IP.To4() == nil && n.IP.IsGlobalUnicast() {
			return true
		}
	}
	return false
}
