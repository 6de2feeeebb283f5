// Package host says what the machine under the agent can do for it, and what on it stands in the agent's way: kernel,
// service manager, the rights of the service's user, names, clock, limits, disk, ports. It changes nothing on the machine,
// reads no secret, and knows no check and no exporter. Rights are judged for the user that the service runs as, by owners
// and modes, whoever asks.
package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Level is how much a finding matters.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // worth knowing: the agent works, for now or in part
	Wrong   Level = "wrong"
)

// Finding is one thing that was looked at.
type Finding struct {
	Subject string // "kernel", "clock", "port 127.0.0.1:9464"
	Level   Level
	Detail  string // one line
	Fix     string // one line, a command where there is one; "" where Level is OK
}

// Options is what to look at. The zero value of a field leaves out what it is needed for.
type Options struct {
	// Root is put before the paths of the system's own files (/etc, /proc, /run, /sys); "" in earnest. What needs the
	// kernel's word and not a file is left out where it is set.
	Root string
	// Shell runs a program of the system, and returns what it printed; nil runs it.
	Shell func(ctx context.Context, argv ...string) (string, error)
	// Getenv is the environment of who asks; nil is empty.
	Getenv func(string) string

	Config     string   // the configuration's path
	StateDir   string   // "" where there is no place for it
	RuntimeDir string   // where the sockets are; "" is the state directory
	Files      []File   // those that the configuration names
	Programs   bool     // programs that are not trusted are to run: plugins, exec checks
	Listen     string   // host:port of the status pages
	MaxStore   int64    // bytes that the store may take
	Names      []string // host names that must resolve
	Network    Network  // what the configuration says of the way out
	Released   time.Time
}

// Network is what the configuration says of the way out.
type Network struct {
	Proxies map[string]string // HTTP_PROXY, HTTPS_PROXY and NO_PROXY as they count
	CAFile  string
}

// Use is what the agent does with a file.
type Use string

// The uses.
const (
	Read    Use = "read"
	Secret  Use = "secret"  // read, and nobody else may
	Run     Use = "run"     // and nobody else may change it
	Connect Use = "connect" // a Unix socket
)

// File is a file that the configuration names.
type File struct {
	What string // "ca_file of line 12"
	Path string // absolute
	Use  Use
}

// patience is the most that one of the probes may take. The kernel can hold one up for ever (a network disk that does not
// answer), which then is the finding.
const patience = 4 * time.Second

// held is when a probe counts as held up by the kernel.
const held = patience + time.Second

// probe is one thing to look at.
type probe struct {
	subject string
	look    func(context.Context) []Finding
}

// Look looks at everything at once, and returns what it found in an order that is always the same. It ends within five
// seconds.
func Look(ctx context.Context, s *Service, o Options) []Finding {
	m := machine{Options: o, service: s}
	if m.Getenv == nil {
		m.Getenv = func(string) string { return "" }
	}
	probes := []probe{
		{"kernel", m.kernel},
		{"sandbox", m.sandbox},
		{"systemd", m.systemd},
		{"user", m.user},
		{"files", m.files},
		{"state directory", m.state},
		{"disk", m.disk},
		{"store", m.store},
		{"memory", m.memory},
		{"descriptors", m.descriptors},
		{"resolver", m.resolver},
		{"clock", m.clock},
		{"authorities", m.authorities},
		{"proxy", m.proxies},
		{"port", m.port},
	}
	answers := make([]chan []Finding, len(probes))
	for i, p := range probes {
		answers[i] = make(chan []Finding, 1)
		go func() { answers[i] <- p.run(ctx) }() // ends by itself, or is held up by the kernel, which nobody can wait out
	}
	over := make(chan struct{})
	deadline := time.AfterFunc(held, func() { close(over) })
	defer deadline.Stop()
	var found []Finding
	for i, p := range probes {
		found = append(found, p.await(answers[i], over)...)
	}
	return found
}

func (p probe) run(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.look(ctx)
}

// await takes the answer, or says that there was none when the time was over.
func (p probe) await(answer <-chan []Finding, over <-chan struct{}) []Finding {
	select {
	case found := <-answer:
		return found
	case <-over:
	}
	select {
	case found := <-answer:
		return found
	default:
		return []Finding{{
			p.subject, Wrong, "looking at it did not end within " + held.String() + ": the kernel waits for something, as a rule a network disk that does not answer",
			"findmnt -t nfs,nfs4,cifs,fuse.sshfs",
		}}
	}
}

// machine is the host, looked at for one service.
type machine struct {
	Options
	service *Service
}

// at is where a file of the system's is.
func (o Options) at(path string) string { return o.Root + path }

// text is a file of the system's, "" where it cannot be read.
func (o Options) text(path string) string {
	data, err := os.ReadFile(o.at(path))
	if err != nil {
		return ""
	}
	return string(data)
}

func ok(subject, format string, args ...any) Finding {
	return Finding{Subject: subject, Level: OK, Detail: fmt.Sprintf(format, args...)}
}

func one(f Finding) []Finding { return []Finding{f} }

// quote makes a path one word of the shell.
func quote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-@:+,=%", r)
	}
	if path != "" && !strings.ContainsFunc(path, func(r rune) bool { return !plain(r) }) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// parents are the folders above a path, the root first.
func parents(path string) []string {
	var out []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		out = append(out, dir)
		if dir == filepath.Dir(dir) {
			slices.Reverse(out)
			return out
		}
	}
}

// size is a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, names := float64(n), []string{"KiB", "MiB", "GiB", "TiB", "PiB"}
	for i := 0; ; i++ {
		if value /= unit; value < unit || i == len(names)-1 {
			return fmt.Sprintf("%.1f %s", value, names[i])
		}
	}
}
