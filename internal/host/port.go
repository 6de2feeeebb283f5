package host

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listener is a line of /proc/net/tcp.
type listener struct {
	ip    net.IP
	port  int
	uid   int
	inode string
}

// port says whether the address of `listen` is free, and who has it where it is not. It is not tried: that would take it
// from an agent that starts meanwhile.
func (m machine) port(context.Context) []Finding {
	host, text, err := net.SplitHostPort(m.Listen)
	wanted, _ := strconv.Atoi(text)
	if err != nil || wanted == 0 {
		return nil
	}
	subject := "port " + m.Listen
	for _, l := range m.listeners() {
		if l.port != wanted || !l.collides(host) {
			continue
		}
		pid := m.holderOf(l.inode)
		switch {
		case pid != 0 && pid == m.agent():
			return one(ok(subject, "held by the agent that runs, %s", m.process(pid)))
		case pid == 0 && m.agent() != 0 && l.uid == m.service.Account.UID:
			return one(ok(subject, "held by a process of %s, as the agent is that runs", m.service.Account.Name))
		case pid == 0:
			return one(Finding{
				subject, Warning, fmt.Sprintf("held by a process of %s: the agent starts without its pages, and tries again", m.userName(l.uid)),
				fmt.Sprintf("sudo ss -ltnp 'sport = :%d'   # end it, or write another port to `listen`", wanted),
			})
		}
		return one(Finding{
			subject, Warning, fmt.Sprintf("held by %s of %s: the agent starts without its pages, and tries again", m.process(pid), m.userName(l.uid)),
			fmt.Sprintf("ss -ltnp 'sport = :%d'   # end it, or write another port to `listen`", wanted),
		})
	}
	return one(ok(subject, "free"))
}

// agent is the process of the agent that runs: the unit's, else who holds the store.
func (m machine) agent() int {
	if pid := m.service.running(); pid != 0 {
		return pid
	}
	return m.holder()
}

func (l listener) collides(host string) bool {
	ip := net.ParseIP(host)
	if host == "localhost" {
		ip = net.IPv4(127, 0, 0, 1)
	}
	return ip == nil || ip.IsUnspecified() || l.ip.IsUnspecified() || l.ip.Equal(ip)
}

// listeners are the sockets of TCP that listen.
func (m machine) listeners() []listener {
	const listening = "0A"
	var out []listener
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for line := range strings.Lines(m.text(path)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != listening {
				continue
			}
			address, text, _ := strings.Cut(fields[1], ":")
			port, err := strconv.ParseInt(text, 16, 32)
			uid, bad := strconv.Atoi(fields[7])
			if ip := address4or6(address); ip != nil && err == nil && bad == nil {
				out = append(out, listener{ip, int(port), uid, fields[9]})
			}
		}
	}
	return out
}

// address4or6 reads words of four bytes in the order of the machine, which is the little end first wherever this runs.
func address4or6(text string) net.IP {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return nil
	}
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	return raw
}

// holderOf finds the process that has the socket; 0 where who asks may not know.
func (m machine) holderOf(inode string) int {
	want := "socket:[" + inode + "]"
	links, _ := filepath.Glob(m.at("/proc/[0-9]*/fd/*"))
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == want {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(link))))
			return pid
		}
	}
	return 0
}
