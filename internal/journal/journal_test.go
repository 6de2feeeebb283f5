package journal_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windsock-monitor/windsock/internal/journal"
	"github.com/windsock-monitor/windsock/internal/secret"
)

const canary = "canary-key-8f2e61b7c9d04a53"

// journald is a socket as journald's.
type journald struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func listen(t *testing.T) *journald {
	t.Helper()
	j := &journald{t: t, path: filepath.Join(t.TempDir(), "socket")}
	j.open()
	return j
}

func (j *journald) open() {
	j.t.Helper()
	_ = os.Remove(j.path)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: j.path, Net: "unixgram"})
	if err != nil {
		j.t.Fatal(err)
	}
	j.conn = conn
	j.t.Cleanup(func() { _ = conn.Close() })
}

// next reads one record by the protocol, nil where there is none.
func (j *journald) next() map[string]string {
	j.t.Helper()
	buffer := make([]byte, 1<<20)
	_ = j.conn.SetReadDeadline(time.Now().Add(time.Second))
	n, err := j.conn.Read(buffer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		j.t.Fatal(err)
	}
	out := map[string]string{}
	for rest := buffer[:n]; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		name, value, simple := strings.Cut(string(line), "=")
		if !simple {
			size := binary.LittleEndian.Uint64(after)
			value, after = string(after[8:8+size]), after[8+size+1:]
		}
		out[name], rest = value, after
	}
	return out
}

// stderr is a pipe to fall back on.
func stderr(t *testing.T) (w *os.File, line func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	lines := bufio.NewScanner(r)
	return w, func() string {
		if !lines.Scan() {
			t.Fatal("no line on standard error", lines.Err())
		}
		return lines.Text()
	}
}

func logger(j *journald, or *os.File) (*slog.Logger, *secret.Scrubber) {
	scrubber := secret.NewScrubber()
	scrubber.Add(canary)
	return slog.New(journal.New(journal.Options{Level: slog.LevelDebug, Scrub: scrubber.String, Else: or, Socket: j.path})), scrubber
}

func TestARecordIsReadableAndFoundByItsFields(t *testing.T) {
	t.Parallel()
	j := listen(t)
	log, _ := logger(j, nil)
	cause := errors.New("first line\nsecond line")
	for name, c := range map[string]struct {
		say  func()
		want map[string]string
	}{
		"the attributes of a run": {
			func() {
				log.Warn("check failed", "check", "chat-small", "cause", "auth", "run_id", "01J", "took", 1500*time.Millisecond, "summary", "no, thanks")
			},
			map[string]string{
				"MESSAGE":  `check failed check=chat-small cause=auth run_id=01J took=1.5s summary="no, thanks"`,
				"PRIORITY": "4", "SYSLOG_IDENTIFIER": "windsock", "CHECK": "chat-small", "CAUSE": "auth", "RUN_ID": "01J",
			},
		},
		"what a logger carries, and a value of two lines": {
			func() { log.With("exporter", "collector").Error("export failed", "error", cause) },
			map[string]string{
				"MESSAGE":  `export failed exporter=collector error="first line\nsecond line"`,
				"PRIORITY": "3", "SYSLOG_IDENTIFIER": "windsock", "EXPORTER": "collector", "ERROR": "first line\nsecond line",
			},
		},
		"what a plugin names is no field, whatever its name": {
			func() {
				log.With("plugin", "shop").Info("plugin log", "line", "hello", slog.Group("fields", "check", "x", "priority", "0"), "message", "y", slog.String("_PID", "1"), "priority", "0") //nolint:sloglint // a plugin may
			},
			map[string]string{
				"MESSAGE":  `plugin log plugin=shop line=hello fields.check=x fields.priority=0 message=y _PID=1 priority=0`,
				"PRIORITY": "6", "SYSLOG_IDENTIFIER": "windsock", "PLUGIN": "shop",
			},
		},
		"nor is what stands in a group": {
			func() { log.WithGroup("g").With("check", "x").Debug("grouped", "cause", "y") },
			map[string]string{"MESSAGE": "grouped g.check=x g.cause=y", "PRIORITY": "7", "SYSLOG_IDENTIFIER": "windsock"},
		},
		"what is no UTF-8": {
			func() { log.Info("odd", "check", "a\xffb") },
			map[string]string{"MESSAGE": `odd check="a\xffb"`, "PRIORITY": "6", "SYSLOG_IDENTIFIER": "windsock", "CHECK": "a�b"},
		},
	} {
		c.say()
		if got := j.next(); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, c.want)
		}
	}
}

// TestNoSecretReachesTheJournal: whatever carries it, and wherever a bound would cut it in two.
func TestNoSecretReachesTheJournal(t *testing.T) {
	t.Parallel()
	j := listen(t)
	log, _ := logger(j, nil)
	for name, say := range map[string]func(){
		"message": func() { log.Info("key " + canary) },
		"value":   func() { log.Info("a", "check", canary, "other", canary) },
		"error":   func() { log.Info("a", "error", fmt.Errorf("call: %w", errors.New(canary))) },
		"carried": func() { log.With("plugin", canary, "x", canary).Info("a") },
		"group":   func() { log.WithGroup("g").Info("a", slog.Group("h", "check", canary)) },
		"any":     func() { log.Info("a", "header", map[string]string{"Authorization": "Bearer " + canary}) },
		"key":     func() { log.Info("a", slog.String(canary, "x")) }, //nolint:sloglint // a plugin may
		"at every bound": func() {
			log.Info("a", "error", strings.Repeat("x", 2<<10-10)+canary, "z", strings.Repeat("y", 8<<10-10)+canary)
		},
		"at the end": func() {
			log.Info("a", "z", strings.Repeat("y", 8<<10-1), "error", strings.Repeat("q", 8<<10-30)+canary)
		},
		"in a deep value": func() { log.Info("a", "error", struct{ Key string }{canary}) },
	} {
		say()
		got := j.next()
		if text := fmt.Sprint(got); got == nil || strings.Contains(text, canary[:12]) {
			t.Errorf("%s: %.200q… holds the key", name, text)
		}
	}
}

func TestWhatIsSentIsBounded(t *testing.T) {
	t.Parallel()
	j := listen(t)
	log, _ := logger(j, nil)
	long := strings.Repeat("ä", 100<<10)
	log.Error("a check panicked", "check", "c", "stack", long, "error", errors.New(long), "reason", long)
	got := j.next()
	if len(got["MESSAGE"]) > 16<<10 || len(got["ERROR"]) > 2<<10 || len(got["REASON"]) > 2<<10 {
		t.Errorf("sent %d, %d and %d bytes", len(got["MESSAGE"]), len(got["ERROR"]), len(got["REASON"]))
	}
	if !strings.HasPrefix(got["MESSAGE"], "a check panicked check=c stack=ää") || !strings.HasSuffix(got["ERROR"], "ä…") {
		t.Errorf("sent %.60q and …%q", got["MESSAGE"], got["ERROR"][len(got["ERROR"])-8:])
	}
}

// TestAJournalThatIsGone: lines go to standard error with their priority, and to the journal again when it is back.
func TestAJournalThatIsGone(t *testing.T) {
	t.Parallel()
	j := listen(t)
	or, line := stderr(t)
	log, _ := logger(j, or)
	log.Info("one")
	if got := j.next(); got["MESSAGE"] != "one" {
		t.Fatalf("the journal got %q", got)
	}
	_ = j.conn.Close() // the file of the socket goes with it
	log.Warn("two", "key", canary)
	if got, want := line(), "<4>two key=[redacted]"; got != want {
		t.Errorf("standard error got %q, want %q", got, want)
	}
}

// TestAJournalThatIsAnother takes what comes after it was started anew.
func TestAJournalThatIsAnother(t *testing.T) {
	t.Parallel()
	j := listen(t)
	log, _ := logger(j, nil)
	log.Info("one")
	j.next()
	_ = j.conn.Close()
	j.open()
	log.Info("two")
	if got := j.next(); got["MESSAGE"] != "two" {
		t.Errorf("the journal got %q", got)
	}
}

// TestAJournalThatStandsStill, with standard error behind it, holds nobody up: ten thousand lines are lost and counted.
func TestAJournalThatStandsStill(t *testing.T) {
	t.Parallel()
	j := listen(t)
	or, line := stderr(t)
	log, _ := logger(j, or)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range 10_000 {
			log.Info("flood", "filling", strings.Repeat("x", 200))
		}
	}()
	select {
	case <-over:
	case <-time.After(30 * time.Second):
		t.Fatal("the log blocks")
	}
	line() // standard error has room again
	for range 100 {
		line()
	}
	log.Info("more")
	for {
		got := line()
		if strings.HasPrefix(got, "<4>lines of the log were lost: neither the journal nor standard error took them lines=") {
			break
		}
		if !strings.HasPrefix(got, "<6>flood") {
			t.Fatalf("standard error got %q", got)
		}
	}
	if got := line(); got != "<6>more" {
		t.Errorf("standard error got %q", got)
	}
}

func TestConnected(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(file.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]bool{
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino): true, fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1): false,
		fmt.Sprintf("%d:%d", stat.Dev+1, stat.Ino): false, "": false, "8": false, "x:y": false,
	} {
		if got := journal.Connected(stream, file); got != want {
			t.Errorf("JOURNAL_STREAM=%q: %t, want %t", stream, got, want)
		}
	}
}
