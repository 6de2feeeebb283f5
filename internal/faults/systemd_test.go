package faults_test

import (
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// manager is what systemd would hear over $NOTIFY_SOCKET.
type manager struct {
	path string
	over chan struct{} // closed when all is read

	mu   sync.Mutex // guards said
	said []string
}

func newManager(t *testing.T, path string) *manager {
	t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{path: path, over: make(chan struct{})}
	go func() {
		defer close(m.over)
		buffer := make([]byte, 4096)
		for {
			n, err := socket.Read(buffer)
			if err != nil || string(buffer[:n]) == last {
				return
			}
			m.mu.Lock()
			m.said = append(m.said, string(buffer[:n]))
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = socket.Close(); <-m.over })
	return m
}

// last is what the test says itself: messages come in order.
const last = "that was all"

// all waits until everything that was said is read.
func (m *manager) all(t *testing.T) {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(last)); err != nil {
		t.Fatal(err)
	}
	<-m.over
}

// turns are the messages but those for the watchdog, and how many of these there were.
func (m *manager) turns() (turns []string, fed int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, message := range m.said {
		if message == "WATCHDOG=1" {
			fed++
		} else {
			turns = append(turns, message)
		}
	}
	return turns, fed
}

// TestTheServiceManagerIsTold: ready, each reload with its time and its end, refused or not, the stop; and the watchdog is
// fed for as long as the agent lives, and not while it stands still.
func TestTheServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := newManager(t, filepath.Join(w.Dir, "notify.sock"))
	w.Env = append(w.Env, "NOTIFY_SOCKET="+filepath.Join(w.Dir, "notify.sock"), "WATCHDOG_USEC=400000")
	p := w.start(t)
	w.Until("the watchdog to be fed", func() bool { _, fed := m.turns(); return fed > 3 })
	w.reload(p)
	w.Write("what: is this\n")
	w.reload(p)
	_, before := m.turns()
	w.Until("the watchdog to be fed after a refused reload", func() bool { _, fed := m.turns(); return fed > before+3 })
	p.Signal(syscall.SIGSTOP)
	_, before = m.turns()
	pause(standstill)
	if _, fed := m.turns(); fed > before+3 { // some may have been on their way
		t.Errorf("the watchdog was fed %d times by a process that stands still", fed-before)
	}
	p.Signal(syscall.SIGCONT)
	p.Stop()
	m.all(t)

	want := []string{
		`^READY=1\nSTATUS=2 checks, 1 exporters$`,
		`^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+$`, `^READY=1\nSTATUS=reloaded, 2 checks$`,
		`^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+$`, `^READY=1\nSTATUS=reload refused, the old configuration runs on; the log has the reason$`,
		`^STOPPING=1\nSTATUS=stopping$`,
	}
	got, _ := m.turns()
	if !slices.EqualFunc(got, want, func(said, form string) bool { return regexp.MustCompile(form).MatchString(said) }) {
		t.Errorf("systemd was told\n%s\nwant\n%s", strings.Join(got, "\n--\n"), strings.Join(want, "\n--\n"))
	}
}
