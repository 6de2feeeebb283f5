package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// trouble is what is wrong with a host.
type trouble struct {
	dns     string // answer; "" is well
	connect string // how
	tls     string // how
}

// world is a network that ends in this process: each host and port that the configuration names is a listener on the
// loopback interface, names resolve without any DNS, and everything else is refused. It is safe for concurrent use.
type world struct {
	authority *authority
	refused   func(address string) // of what nobody answers to; may be nil

	mu       sync.Mutex // guards the rest
	sites    map[string]*site
	names    map[netip.Addr]string // of the addresses that were given out
	addrs    map[string]netip.Addr
	troubles map[string]trouble // by host
	closed   bool
	asked    sync.WaitGroup // DNS connections
}

func newWorld(a *authority) *world {
	return &world{authority: a, sites: map[string]*site{}, names: map[netip.Addr]string{}, addrs: map[string]netip.Addr{}, troubles: map[string]trouble{}}
}

// close ends every listener and connection.
func (w *world) close() {
	w.mu.Lock()
	w.closed = true
	sites := w.sites
	w.sites = map[string]*site{}
	w.mu.Unlock()
	for _, s := range sites {
		s.close()
	}
	w.asked.Wait()
}

// hosts are the names of all hosts, sorted.
func (w *world) hosts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for address := range w.sites {
		host, _, _ := net.SplitHostPort(address)
		all = append(all, host)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// break makes hosts troubled, each in what is given, and ends the connections to them.
func (w *world) trouble(hosts []string, change func(*trouble)) {
	w.mu.Lock()
	var cut []*site
	for _, host := range hosts {
		host = strings.ToLower(host)
		t := w.troubles[host]
		change(&t)
		w.troubles[host] = t
		for address, s := range w.sites {
			if at, _, _ := net.SplitHostPort(address); at == host {
				cut = append(cut, s)
			}
		}
	}
	w.mu.Unlock()
	for _, s := range cut {
		s.cut()
	}
}

// heal ends every trouble.
func (w *world) heal() {
	w.mu.Lock()
	clear(w.troubles)
	w.mu.Unlock()
}

func (w *world) troubleOf(host string) trouble {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.troubles[host]
}

// Dial connects as a network would, and tells httptrace what it does.
func (w *world) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if port == "53" {
		return w.resolver(network)
	}
	trace := httptrace.ContextClientTrace(ctx)
	if literal, err := netip.ParseAddr(host); err == nil {
		w.mu.Lock()
		if name, given := w.names[literal.Unmap()]; given {
			host = name
		}
		w.mu.Unlock()
	} else if err := w.resolve(ctx, trace, host); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if trace != nil && trace.ConnectStart != nil {
		trace.ConnectStart(network, address)
	}
	conn, err := w.connect(ctx, host, port)
	if trace != nil && trace.ConnectDone != nil {
		trace.ConnectDone(network, address, err)
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return conn, nil
}

// resolve looks a name up, without any answer: who connects needs none.
func (w *world) resolve(ctx context.Context, trace *httptrace.ClientTrace, host string) error {
	if trace != nil && trace.DNSStart != nil {
		trace.DNSStart(httptrace.DNSStartInfo{Host: host})
	}
	err := w.lookup(ctx, host)
	if trace != nil && trace.DNSDone != nil {
		trace.DNSDone(httptrace.DNSDoneInfo{Err: err})
	}
	return err
}

func (w *world) lookup(ctx context.Context, host string) error {
	fault := &net.DNSError{Name: host, Server: "drill"}
	switch answer := w.troubleOf(host).dns; answer {
	case "":
		if w.knows(host) {
			return nil
		}
		fault.Err, fault.IsNotFound = "no such host", true
	case AnswerTimeout:
		<-ctx.Done()
		fault.Err, fault.IsTimeout = "i/o timeout", true
	case AnswerServfail:
		fault.Err, fault.IsTemporary = "server misbehaving", true
	default:
		fault.Err, fault.IsNotFound = "no such host", true
	}
	return fault
}

func (w *world) knows(host string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for address := range w.sites {
		if at, _, _ := net.SplitHostPort(address); at == host {
			return true
		}
	}
	return false
}

func (w *world) connect(ctx context.Context, host, port string) (net.Conn, error) {
	switch w.troubleOf(host).connect {
	case ConnectTimeout:
		<-ctx.Done()
		return nil, ctx.Err()
	case ConnectUnreachable:
		return nil, syscall.EHOSTUNREACH
	case ConnectRefused:
		return nil, syscall.ECONNREFUSED
	}
	w.mu.Lock()
	s := w.sites[net.JoinHostPort(host, port)]
	w.mu.Unlock()
	if s == nil {
		if w.refused != nil {
			w.refused(net.JoinHostPort(host, port))
		}
		return nil, syscall.ECONNREFUSED
	}
	return s.dial(ctx)
}

// address is the one that the DNS answers for a name, of the ranges that are set aside for benchmarks and documentation:
// no packet is ever sent there.
func (w *world) address(host string, six bool) netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := host
	if six {
		key += "/6"
	}
	if given, ok := w.addrs[key]; ok {
		return given
	}
	n := len(w.addrs) + 1
	high, low := byte(2+n>>8), byte(n) // below are the resolver and the reference host
	addr := netip.AddrFrom4([4]byte{198, 18, high, low})
	if six {
		addr = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: high, 15: low})
	}
	w.addrs[key], w.names[addr] = addr, host
	return addr
}

// site puts a handler below a path of a host and port. A host that only has to be reachable has none.
func (w *world) site(ctx context.Context, address string, r route) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("the address %q: %w", address, err)
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	address = net.JoinHostPort(host, port)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errors.New("the drill is over")
	}
	if w.sites[address] == nil {
		s, err := newSite(ctx, func(name string) certificate {
			return w.authority.of(cmp.Or(name, host), w.troubleOf(host).tls)
		})
		if err != nil {
			return err
		}
		w.sites[address] = s
	}
	w.sites[address].add(r)
	return nil
}

// defaultPort is the port of a URL that names none.
func defaultPort(scheme, port string) string {
	switch {
	case port != "":
		return port
	case scheme == "https":
		return "443"
	}
	return "80"
}

// soon is a bound on what must not hang.
const soon = 5 * time.Second
