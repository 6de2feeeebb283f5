// Package config reads schedules.yaml, and the file of prices that it may name. It is strict, tells every fault at once and
// in its place, and gives nothing back where there is one. It expands nothing, reads no credential and touches no network.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"time"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	"github.com/windsock-monitor/windsock/internal/alerts"
	"github.com/windsock-monitor/windsock/internal/pluginhost/manifest"
	"github.com/windsock-monitor/windsock/internal/pricing"
	"github.com/windsock-monitor/windsock/internal/runbook"
	"github.com/windsock-monitor/windsock/internal/schedule"
	"github.com/windsock-monitor/windsock/internal/secret"
)

//go:generate go run ./generate -root ../..

// Registry is the kinds that a file may name.
type Registry struct {
	Checks    []checks.Kind
	Exporters []exporters.Kind
}

// Options is what Load and Parse need.
type Options struct {
	Path     string // "" is ./schedules.yaml, else /etc/windsock/schedules.yaml
	Registry Registry
	Getenv   func(string) string // for the proxy variables; nil reads nothing
	Secrets  *secret.Resolver    // nil makes one of Getenv
	Lock     *manifest.Lock      // nil reads plugins.lock beside the file
}

// Config is a file that can be used. Paths in it are absolute.
type Config struct {
	Path         string
	Location     string
	Labels       map[string]string
	StateDir     string // "" where the file does not say
	Listen       string // "" is off
	Programs     Programs
	Plugins      []Plugin // in the order of the file
	Network      NetworkConfig
	Providers    []Provider // in the order of the file
	Checks       []Check
	Exporters    []Exporter
	Secrets      map[string]checks.Secret
	Budget       Budget
	PlaceBudget  func(key string, err error) error // places what is wrong with one of the budget's keys, as an *Errors
	Prices       Prices
	Alerts       Alerts
	Maintenance  []Maintenance
	Heartbeat    Heartbeat
	Incidents    Incidents
	Runbook      runbook.Setting
	Preflight    Preflight
	Store        StoreConfig
	Log          Log
	Concurrency  Concurrency
	Grace        time.Duration
	Scrubber     *secret.Scrubber // knows every value of the file's secrets that was read
	Snapshot     time.Duration    // how often the agent tells of itself: a minute, which Compress divides
	PluginFaults []PluginFault    // what is wrong with plugins and their use, in the order of the file: the agent runs without
	Warnings     []Problem        // what works and should not stay, in the order of the file
}

// Programs is what exec checks may run. The zero value is nothing.
type Programs struct {
	Directories []string // absolute
	Env         []string // names of variables that programs get
	Read, Write []string // absolute; what programs may read, or change too, beside the system's files and Directories
}

// NetworkConfig is the way out.
type NetworkConfig struct {
	HTTPProxy, HTTPSProxy, NoProxy string // of the file, else of the environment at the time of the load
	CAFile                         string
	AllowAddresses                 []netip.Prefix
	PlaceCAFile                    func(err error) error // places what reading CAFile said, as an *Errors
}

// Provider is one API that is monitored.
type Provider struct {
	Name             string
	BaseURL          string // without a slash at the end
	APIKey           checks.Secret
	FallbackAPIKey   checks.Secret // zero: there is none
	Failover         bool          // calls may be made with the fallback key
	ReuseConnections bool
	StallAfter       time.Duration
	Breaker          Breaker
	PauseBelow       float64 // of a rate limit, 0 to 1; 0 is off
}

// Breaker is when to stop calling.
type Breaker struct {
	Failures int
	Reset    time.Duration
}

// Check is one check with its defaults filled in.
type Check struct {
	Name, Kind, Provider            string
	Schedule                        schedule.Spec
	Timeout, DegradedAbove, Confirm time.Duration // DegradedAbove and Confirm: 0 is off
	RunAtStart                      bool
	Overlap                         schedule.Overlap
	Missed                          schedule.Missed
	IncidentSchedule                schedule.Spec // while an incident concerns it; zero: its own
	Labels                          map[string]string
	With                            checks.Decoder        // reads `with:`; its errors are placed
	Place                           func(err error) error // places what a kind said of its parameters, as an *Errors; nil stays nil
	Line                            int                   // where it stands in the file
	Foreign                         Foreign               // the plugin that serves it; zero: a built-in kind
}

// Exporter is one exporter with its defaults filled in.
type Exporter struct {
	Name, Kind string
	MaxAge     time.Duration
	Replay     bool
	BatchSize  int
	Timeout    time.Duration
	With       checks.Decoder
	Place      func(err error) error
	Line       int
	Foreign    Foreign
}

// Budget is the most that probes may cost. Where Set is false there is no bound; else PerHour and PerDay are above zero, and PerMonth is where the month is
// bounded too.
type Budget struct {
	PerHour, PerDay, PerMonth checks.PicoUSD
	Set                       bool
}

// Prices is what models cost beside the built-in prices.
type Prices struct {
	MaxAge time.Duration // 0: no age is too old
	Own    []pricing.Price
}

// Table is the built-in prices with those of the file.
func (p Prices) Table() *pricing.Table { return pricing.Default().With(p.Own) }

// Alerts is the rules that count: the built-in ones that the file does not disable, as it changes them, and then its own.
type Alerts struct {
	Rules    []alerts.Rule
	Disabled []alerts.Rule // those that the file disables, for people who ask
	Source   *RuleSource   // nil in an agent that runs
}

// Maintenance is a window in which checks are not run, or nobody is told of alerts.
type Maintenance struct {
	Name     string
	Schedule schedule.Spec // when it begins
	Duration time.Duration
	Skip     bool             // the checks are not run; else only nobody is told
	Match    []alerts.Matcher // over check, kind, provider and the labels of checks; none: all
	Reason   string
}

// Heartbeat is the dead man's switch: a URL that hears of the agent while it is well. Its zero value is off.
type Heartbeat struct {
	URL   checks.Secret // a URL often is the credential
	Every time.Duration
	Place func(err error) error // places what reading URL said, as an *Errors
}

// Incidents is how incidents are answered.
type Incidents struct {
	Schedule   schedule.Spec                     // of the checks concerned while an incident is open; zero: they keep theirs
	CloseAfter time.Duration                     // the application's own path must have been well for so long
	Timezone   *time.Location                    // of business days
	RespondIn  map[checks.Severity]time.Duration // P1 to P3; P4 is the next business day
}

// StoreConfig is how much is kept.
type StoreConfig struct {
	MaxAge  time.Duration
	MaxSize int64 // bytes
}

// Log is how the agent logs.
type Log struct {
	Level  slog.Level
	Format string // one of those below
}

// The formats of the log.
const (
	LogAuto = "auto" // the journal's own protocol where the journal stands behind standard error, else text
	LogText = "text"
	LogJSON = "json"
)

// Concurrency is how many runs go at the same time.
type Concurrency struct{ Global, PerHost int }

// pipePatience is how long the writer of a pipe, <(…) in a shell, may take. A reload must not wait for one that is gone.
const pipePatience = 10 * time.Second

// wayOut is what to do about a file that cannot be read, to follow the error; "" where nobody knows.
func wayOut(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "; put one there, or name another with --config"
	case errors.Is(err, fs.ErrPermission) && filepath.Dir(path) == filepath.Dir(Paths()[1]):
		return fmt.Sprintf("; the agent reads it as one of the group windsock: `chown root:windsock %[1]s && chmod 0640 %[1]s`; others ask with sudo", path)
	case errors.Is(err, fs.ErrPermission):
		return "; it must be readable for the user that this runs as: `namei -l " + path + "` shows for whom it is"
	}
	return ""
}

// Paths are where the file is looked for when nobody says where it is.
func Paths() []string { return []string{"schedules.yaml", "/etc/windsock/schedules.yaml"} }

// Load reads the file. The error is an *Errors where the file is at fault, and wraps fs.ErrNotExist or fs.ErrPermission
// where it cannot be read.
func Load(o Options) (*Config, error) {
	path, err := find(o.Path)
	if err != nil {
		return nil, err
	}
	data, mode, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w%s", err, wayOut(path, err))
	}
	cfg, err := Parse(path, data, o)
	if err != nil {
		return nil, err
	}
	if writable(mode) {
		cfg.Warnings = append([]Problem{{
			File: path, Message: fmt.Sprintf("everybody can write this file (mode %04o), and who writes it decides what the agent runs", mode.Perm()),
		}}, cfg.Warnings...)
	}
	return cfg, nil
}

// readFile reads a file, of one that is too large a byte more than MaxSize.
func readFile(path string) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, 0, err //nolint:wrapcheck // who asks says what for
	}
	defer func() { _ = f.Close() }()
	_ = f.SetReadDeadline(time.Now().Add(pipePatience)) // files have no deadline, and need none
	var data bytes.Buffer
	if _, err := data.ReadFrom(io.LimitReader(f, MaxSize+1)); err != nil {
		return nil, 0, err //nolint:wrapcheck // who asks says what for
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err //nolint:wrapcheck // who asks says what for
	}
	return data.Bytes(), info.Mode(), nil
}

// writable reports whether everybody can write a file of this mode.
func writable(mode fs.FileMode) bool { return mode.IsRegular() && mode.Perm()&0o002 != 0 }

func find(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	for _, path := range Paths() {
		_, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && !filepath.IsAbs(path) {
			continue // not there; or the working directory is one that this user cannot look into, as root's is for runuser
		}
		return path, nil // there, or not to be seen: opening it tells which
	}
	return "", fmt.Errorf("no configuration at ./%s and %s; name one with --config: %w", Paths()[0], Paths()[1], fs.ErrNotExist)
}

// Parse reads the text of a file, and the file of prices that it may name. name is what errors call it; relative paths in it
// are below its folder. The error is an *Errors.
func Parse(name string, data []byte, o Options) (*Config, error) {
	rep := newReport(name, data)
	root := rep.syntax(data)
	if root == nil {
		return nil, rep.err()
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Secrets == nil {
		o.Secrets = secret.NewResolver(secret.Options{Getenv: o.Getenv})
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, fmt.Errorf("finding the folder of %q: %w", name, err)
	}
	b := &builder{
		decoder: decoder{report: rep, resolver: o.Secrets, dir: dir, named: map[string]checks.Secret{}, variables: map[string]bool{}},
		root:    root, options: o, cfg: &Config{Path: name, Scrubber: o.Secrets.Scrubber()},
	}
	b.file = defaults()
	b.secrets()
	b.decode(root, reflect.ValueOf(&b.file).Elem())
	b.settle()
	b.build()
	if len(rep.problems) > 0 { // all is told at once
		for _, f := range b.faults {
			rep.problems = append(rep.problems, f.Problem)
		}
	}
	if err := rep.err(); err != nil {
		return nil, err
	}
	b.cfg.PluginFaults = b.sortedFaults()
	b.cfg.Warnings = rep.told(func(r *report) []Problem { return r.warnings })
	return b.cfg, nil
}
