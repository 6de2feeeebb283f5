package datadog_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/exporters/datadog"
)

// agent is a DogStatsD server as far as a client can see one.
type agent struct {
	came    chan struct{} // has one element after a packet came
	mu      sync.Mutex    // guards packets
	packets []string
}

func newAgent() *agent { return &agent{came: make(chan struct{}, 1)} }

func (a *agent) keep(packet []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.packets = append(a.packets, string(packet))
	select {
	case a.came <- struct{}{}:
	default:
	}
}

// lines waits for n lines and returns all that came, in order.
func (a *agent) lines(t *testing.T, n int) []string {
	t.Helper()
	return a.until(t, func(lines []string) bool { return len(lines) >= n })
}

// until waits until enough lines came and returns them, in order.
func (a *agent) until(t *testing.T, enough func(lines []string) bool) []string {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		a.mu.Lock()
		var all []string
		for _, p := range a.packets {
			all = append(all, strings.Split(strings.TrimSuffix(p, "\n"), "\n")...)
		}
		a.mu.Unlock()
		if enough(all) {
			return all
		}
		select {
		case <-a.came:
		case <-limit.C:
			t.Errorf("%d lines came, and more were to come", len(all))
			return all
		}
	}
}

func (a *agent) largest() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	most := 0
	for _, p := range a.packets {
		most = max(most, len(p))
	}
	return most
}

func (a *agent) read(t *testing.T, conn io.ReadCloser) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		packet := make([]byte, 1<<16)
		for {
			n, err := conn.Read(packet)
			if err != nil {
				return
			}
			a.keep(packet[:n])
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

func socketPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "dsd.socket")
}

func listenUnix(t *testing.T, path string) *agent {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	a := newAgent()
	a.read(t, conn)
	return a
}

func listenUDP(t *testing.T) (*agent, string) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	a := newAgent()
	a.read(t, conn)
	return a, conn.LocalAddr().String()
}

// listenStream reads packets after their lengths.
func listenStream(t *testing.T, path string) *agent {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	a := newAgent()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for {
			var size uint32
			if err := binary.Read(conn, binary.LittleEndian, &size); err != nil {
				return
			}
			packet := make([]byte, size)
			if _, err := io.ReadFull(conn, packet); err != nil {
				return
			}
			a.keep(packet)
		}
	}()
	t.Cleanup(func() { <-done })
	t.Cleanup(func() { _ = l.Close() })
	return a
}

// hermetic takes from the process what datadog-go reads by itself.
func hermetic(tb testing.TB) {
	tb.Helper()
	for _, name := range []string{"DD_ENV", "DD_SERVICE", "DD_VERSION", "DD_ENTITY_ID", "DD_AGENT_HOST", "DD_DOGSTATSD_URL", "DD_CARDINALITY", "DATADOG_CARDINALITY", "DD_EXTERNAL_ENV"} {
		tb.Setenv(name, "")
	}
}

func build(t *testing.T, with string, env exporters.Env) exporters.Exporter {
	t.Helper()
	e, err := datadog.Kind().New(checktest.Decoder(with, ""), env)
	if err != nil {
		t.Fatalf("building with %q: %v", with, err)
	}
	t.Cleanup(func() {
		c, ok := e.(io.Closer)
		if !ok {
			t.Error("the exporter cannot be closed")
			return
		}
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("closing: %v", err)
		}
	})
	return e
}

func export(t *testing.T, e exporters.Exporter, batch ...checks.Record) exporters.Outcome {
	t.Helper()
	out, err := e.Export(t.Context(), batch)
	if err != nil {
		t.Fatalf("exporting %d records: %v", len(batch), err)
	}
	return out
}

func having(lines []string, part string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, part) })
}

// unused is a UDP address on which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().String()
}
