package host_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/windsock-monitor/windsock/internal/host"
	"github.com/windsock-monitor/windsock/internal/process"
)

func TestTheClock(t *testing.T) {
	t.Parallel()
	released := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	now := released.Add(240 * time.Hour)
	tests := map[string]struct {
		now                 time.Time
		known, synchronised bool
		want                host.Level
		says                string
	}{
		"never set":                       {time.Unix(60, 0), true, false, host.Wrong, "never set"},
		"before the build":                {released.Add(-time.Hour), true, true, host.Wrong, "before this windsock was built (2026-11-01)"},
		"kept by nobody":                  {now, true, false, host.Warning, "not synchronised"},
		"kept":                            {now, true, true, host.OK, "synchronised; the host slept for 1h0m0s"},
		"where the kernel does not tell":  {now, false, false, host.OK, "does not tell"},
		"never set, and nobody can tell?": {time.Unix(60, 0), false, false, host.Wrong, "1970-01-01T00:01:00Z"},
	}
	for name, tt := range tests {
		if got := host.JudgeClock(tt.now, released, time.Hour, tt.known, tt.synchronised); got.Level != tt.want || !strings.Contains(got.Detail, tt.says) {
			t.Errorf("%s: got %+v, want %s, %q", name, got, tt.want, tt.says)
		}
	}
}

// TestTheClockAgainstAnothers: what Date rounds away, and the time on the way, are not the clock's fault.
func TestTheClockAgainstAnothers(t *testing.T) {
	t.Parallel()
	date := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		asked, came time.Duration // after the date
		want        host.Level
		says        string
	}{
		"the same":                      {-200 * time.Millisecond, 200 * time.Millisecond, host.OK, "within 1s"},
		"an answer that took a minute":  {-time.Minute, time.Second, host.OK, "within 1s"},
		"just within":                   {31 * time.Second, 31 * time.Second, host.OK, "within 30s"},
		"ahead":                         {45 * time.Second, 45 * time.Second, host.Warning, "44s ahead of"},
		"behind":                        {-time.Hour, -time.Hour, host.Warning, "1h0m0s behind"},
		"asked long ago, and far ahead": {time.Minute, 2 * time.Minute, host.Warning, "59s ahead of"},
	}
	for name, tt := range tests {
		if got := host.Offset("api.example", date, date.Add(tt.asked), date.Add(tt.came)); got.Level != tt.want || !strings.Contains(got.Detail, tt.says) {
			t.Errorf("%s: got %+v, want %s, %q", name, got, tt.want, tt.says)
		}
	}
}

func TestTheDisk(t *testing.T) {
	t.Parallel()
	const plenty = 10 << 30
	tests := map[string]struct {
		magic    int64
		free     int64
		inodes   uint64
		readOnly bool
		want     host.Level
		says     string
	}{
		"a disk":                         {0xef53, plenty, 500, false, host.OK, "ext4 on /var/lib/windsock: 10.0 GiB free and 500 inodes free, the store may grow by 512.0 MiB to 1.0 GiB"},
		"read-only":                      {0xef53, plenty, 500, true, host.Wrong, "cannot be written"},
		"without inodes":                 {0xef53, plenty, 3, false, host.Wrong, "3 inodes free"},
		"full":                           {0xef53, 1 << 20, 500, false, host.Wrong, "no room for records"},
		"too small for what it may take": {0x58465342, 400 << 20, 500, false, host.Warning, "does not fit"},
		"NFS":                            {0x6969, plenty, 500, false, host.Warning, "on nfs"},
		"SMB":                            {0xfe534d42, plenty, 500, false, host.Warning, "on smb2"},
		"a number with its sign":         {-11317950, plenty, 500, false, host.Warning, "on cifs"},
		"a container's":                  {0x794c7630, plenty, 500, false, host.Warning, "forgotten with the host or the container"},
		"in memory":                      {0x01021994, plenty, 500, false, host.Warning, "on tmpfs"},
		"one that nobody knows":          {0x1234, plenty, 500, false, host.OK, "a file system of type 0x1234"},
	}
	for name, tt := range tests {
		if got := host.JudgeVolume(host.FileSystem(tt.magic), tt.free, tt.inodes, tt.readOnly); got.Level != tt.want || !strings.Contains(got.Detail, tt.says) {
			t.Errorf("%s: got %+v, want %s, %q", name, got, tt.want, tt.says)
		}
	}
}

func TestTheTrialOfTheSandbox(t *testing.T) {
	t.Parallel()
	out := func(text string) process.Output { return process.Output{Text: []byte(text)} }
	tests := map[string]struct {
		end  process.End
		err  error
		want host.Level
		says string
	}{
		"refused":        {process.End{Code: 1, Stderr: out("cat: /etc/windsock/schedules.yaml: Permission denied\n")}, nil, host.OK, "refused to read"},
		"read":           {process.End{Stdout: out("p")}, nil, host.Wrong, "could read /etc/windsock/schedules.yaml, though this kernel has Landlock"},
		"not started":    {process.End{}, errors.New("no seccomp"), host.Wrong, "does not start here: no seccomp"},
		"not confined":   {process.End{Code: 125, Stderr: out("windsock plugin-exec: landlock: operation not permitted")}, nil, host.Wrong, ""},
		"another reason": {process.End{Code: 127, Stderr: out("cat: error while loading shared libraries")}, nil, host.Wrong, "ended with status 127"},
		"hung":           {process.End{Code: -1, Stopped: process.StopDeadline}, nil, host.Wrong, "did not end in time"},
	}
	for name, tt := range tests {
		if got := host.Confinement(true, tt.end, tt.err); got.Level != tt.want || !strings.Contains(got.Detail, tt.says) {
			t.Errorf("%s: got %+v, want %s, %q", name, got, tt.want, tt.says)
		}
	}
	if got := host.Confinement(false, process.End{Stdout: out("p")}, nil); got.Level != host.OK || !strings.Contains(got.Detail, "without Landlock") {
		t.Errorf("without Landlock, which the kernel's finding tells: got %+v", got)
	}
}

// resolver answers with code, or for some questions not at all, and returns where it listens.
func resolver(t *testing.T, answer func(q dns.Question) (code int, records []string, silent bool)) string {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		code, records, silent := answer(q.Question[0])
		if silent {
			return
		}
		reply := new(dns.Msg).SetRcode(q, code)
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Error(err)
			}
			reply.Answer = append(reply.Answer, rr)
		}
		_ = w.WriteMsg(reply)
	})}
	ended := make(chan error, 1)
	started := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return conn.LocalAddr().String()
}

func TestAResolver(t *testing.T) {
	t.Parallel()
	const four = "api.example. 60 IN A 192.0.2.1"
	says := func(code int, records ...string) func(dns.Question) (int, []string, bool) {
		return func(q dns.Question) (int, []string, bool) {
			if q.Qtype == dns.TypeA {
				return code, records, false
			}
			return code, nil, false
		}
	}
	dead := func(dns.Question) (int, []string, bool) { return 0, nil, true }
	tests := map[string]struct {
		answer func(dns.Question) (int, []string, bool)
		others bool // answer
		want   host.Level
		says   string
	}{
		"one that answers":                 {says(dns.RcodeSuccess, four), true, host.OK, "answered in "},
		"one that is dead beside others":   {dead, true, host.Warning, "waits five seconds"},
		"one that is dead as all are":      {dead, false, host.Wrong, "nor does any other"},
		"one that fails":                   {says(dns.RcodeServerFailure), true, host.Warning, "says SERVFAIL of api.example"},
		"one that refuses":                 {says(dns.RcodeRefused), true, host.Warning, "says REFUSED"},
		"one that does not know the name":  {says(dns.RcodeNameError), true, host.Warning, "knows no api.example"},
		"one that is silent for IPv6 only": {func(q dns.Question) (int, []string, bool) { return 0, []string{four}, q.Qtype == dns.TypeAAAA }, true, host.Warning, "not for IPv6"},
		"one that fails for IPv6 only": {func(q dns.Question) (int, []string, bool) {
			if q.Qtype == dns.TypeAAAA {
				return dns.RcodeServerFailure, nil, false
			}
			return 0, []string{four}, false
		}, true, host.Warning, "not for IPv6 (SERVFAIL)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			got := host.AskResolver(ctx, "api.example", resolver(t, tt.answer), tt.others)
			if got.Level != tt.want || !strings.Contains(got.Detail, tt.says) || got.Level != host.OK && got.Fix == "" {
				t.Errorf("got %+v, want %s, %q", got, tt.want, tt.says)
			}
		})
	}
}

// TestThePort: with a real listener of this process.
func TestThePort(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	port := func(address string) (found host.Finding) {
		for _, f := range host.Look(t.Context(), service(), host.Options{Config: "/etc/hostname", Listen: address}) {
			if strings.HasPrefix(f.Subject, "port ") {
				found = f
			}
		}
		return found
	}
	address := listener.Addr().String()
	if got := port(address); got.Level != host.Warning || !strings.Contains(got.Detail, "held by host.test (pid ") {
		t.Errorf("of this process: got %+v", got)
	}
	_, number, _ := net.SplitHostPort(address)
	if got := port("[::1]:" + number); got.Level != host.OK || got.Detail != "free" {
		t.Errorf("of another address: got %+v", got)
	}
	if got := port("0.0.0.0:" + number); got.Level != host.Warning {
		t.Errorf("of all addresses: got %+v", got)
	}
}
