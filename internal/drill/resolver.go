package drill

import (
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// resolver is a connection to a DNS server, which answers for the world's own names. It speaks as over TCP, whatever was
// asked for: both ends are in this process.
func (w *world) resolver(string) (net.Conn, error) {
	here, there := net.Pipe()
	w.asked.Go(func() {
		defer there.Close() //nolint:errcheck // nothing was buffered
		conn := &dns.Conn{Conn: there}
		for {
			_ = there.SetDeadline(time.Now().Add(soon))
			query, err := conn.ReadMsg()
			if err != nil {
				return
			}
			answer := w.answer(query)
			if answer == nil {
				continue
			}
			if err := conn.WriteMsg(answer); err != nil {
				return
			}
		}
	})
	return here, nil
}

// answer is what the DNS says, nil for nothing at all.
func (w *world) answer(query *dns.Msg) *dns.Msg {
	out := new(dns.Msg).SetReply(query)
	for _, q := range query.Question {
		host := strings.ToLower(strings.TrimSuffix(q.Name, "."))
		switch fault := w.troubleOf(host).dns; {
		case fault == AnswerTimeout:
			return nil
		case fault == AnswerServfail:
			out.Rcode = dns.RcodeServerFailure
		case fault != "" || !w.knows(host):
			out.Rcode = dns.RcodeNameError
		case q.Qtype == dns.TypeA:
			out.Answer = append(out.Answer, &dns.A{Hdr: header(q), A: w.address(host, false).AsSlice()})
		case q.Qtype == dns.TypeAAAA:
			out.Answer = append(out.Answer, &dns.AAAA{Hdr: header(q), AAAA: w.address(host, true).AsSlice()})
		}
	}
	return out
}

func header(q dns.Question) dns.RR_Header {
	return dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: 60}
}
