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

	"github.com/windsock-monitor/windsock/internal/simulator"
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

// turns are the messages but those for the watchdog and those that change the line only; lines are all lines, in their
// order; fed is how often the watchdog was.
func (m *manager) turns() (turns, lines []string, fed int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, message := range m.said {
		if message == "WATCHDOG=1" {
			fed++
			continue
		}
		_, line, _ := strings.Cut(message, "STATUS=")
		lines = append(lines, line)
		if !strings.HasPrefix(message, "STATUS=") {
			turns = append(turns, message)
		}
	}
	return turns, lines, fed
}

func (m *manager) fed() int { _, _, n := m.turns(); return n }

// line is the last one, and whether it matches.
func (m *manager) line(form string) bool {
	_, lines, _ := m.turns()
	return len(lines) > 0 && regexp.MustCompile(form).MatchString(lines[len(lines)-1])
}

// TestTheServiceManagerIsTold: ready, each reload with its time and its end, refused or not, the stop; the line says how the
// agent is; and the watchdog is fed for as long as the agent lives, and not while it stands still.
func TestTheServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := newManager(t, filepath.Join(w.Dir, "notify.sock"))
	w.Env = append(w.Env, "NOTIFY_SOCKET="+filepath.Join(w.Dir, "notify.sock"), "WATCHDOG_USEC=400000")
	p := w.start(t)
	w.Until("the watchdog to be fed", func() bool { return m.fed() > 3 })
	w.Until("the line to be well", func() bool { return m.line(`^2 of 2 checks ok; exporters well; \$0\.\d{4} of \$\S+ this hour$`) })
	w.reload(p)
	w.Write("what: is this\n")
	w.reload(p)
	before := m.fed()
	w.Until("the watchdog to be fed after a refused reload", func() bool { return m.fed() > before+3 })
	p.Signal(syscall.SIGSTOP)
	before = m.fed()
	pause(standstill)
	if fed := m.fed(); fed > before+3 { // some may have been on their way
		t.Errorf("the watchdog was fed %d times by a process that stands still", fed-before)
	}
	p.Signal(syscall.SIGCONT)
	p.Stop()
	m.all(t)

	want := []string{
		`^EXTEND_TIMEOUT_USEC=30000000\nSTATUS=starting: opening the store /\S+$`,
		`^READY=1\nSTATUS=\d of 2 checks ok(, \d not run yet)?; exporters(: nothing sent yet| well); \$`,
		`^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+\nSTATUS=reading the configuration again$`, `^READY=1\nSTATUS=2 of 2 checks ok; `,
		`^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+\nSTATUS=`,
		`^READY=1\nSTATUS=reload refused, the configuration before it runs on: \S+schedules\.yaml:1:1: .*what.*; 2 of 2 checks ok; `,
		`^STOPPING=1\nSTATUS=stopping: waiting for \d+ runs, at most \d+`,
	}
	got, lines, _ := m.turns()
	if !slices.EqualFunc(got, want, func(said, form string) bool { return regexp.MustCompile(form).MatchString(said) }) {
		t.Errorf("systemd was told\n%s\nwant\n%s", strings.Join(got, "\n--\n"), strings.Join(want, "\n--\n"))
	}
	if end := lines[len(lines)-2:]; !strings.HasPrefix(end[0], "stopping: exporters deliver what is left") || end[1] != "stopping: plugins and the store are closed" {
		t.Errorf("the last lines are %q", end)
	}
}

// TestTheLineNamesWhatIsWrong: a key that is refused, with the alert, and an exporter whose backend is gone.
func TestTheLineNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := newManager(t, filepath.Join(w.Dir, "notify.sock"))
	w.Env = append(w.Env, "NOTIFY_SOCKET="+filepath.Join(w.Dir, "notify.sock"), "WATCHDOG_USEC=400000")
	w.start(t)
	w.apply(t, simulator.Fault{Status: 401})
	w.Until("the line to name check, cause and alert", func() bool {
		return m.line(`^\d of 2 checks ok; .*\S+ failed: auth \(account\) for less than a minute; alerts: .*auth-failure P1.*; exporters well; `)
	})
	before := m.fed()
	w.Until("the watchdog to be fed all the same", func() bool { return m.fed() > before+3 })
}
