package agent

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/outbound"
)

// Turn is what the service manager is told with a line of text.
type Turn int

// The turns of an agent's life.
const (
	Going     Turn = iota // nothing changes but the line
	Starting              // the start takes longer
	Ready                 // the agent works, for the first time or again after Reloading
	Reloading             // a reload began
	Stopping              // the shutdown began
)

// Notifier tells the service manager. *Systemd implements it.
type Notifier interface {
	Tell(turn Turn, line string)
	Watchdog()               // schedule and delivery have turned
	Interval() time.Duration // between two calls of Watchdog; 0: none wanted
}

// mostLine is how long a line may be: systemctl shows all of it.
const mostLine = 400

// moreTime is how much longer a start may take each time that it is told of.
const moreTime = 30 * time.Second

// Systemd tells systemd how the agent is, over $NOTIFY_SOCKET.
type Systemd struct {
	log      *slog.Logger
	interval time.Duration
}

// NewSystemd returns a Notifier, or nil where no service manager listens. The watchdog is fed three times per period, so
// that one turn that comes late is not the end.
func NewSystemd(getenv func(string) string, log *slog.Logger) *Systemd {
	if getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("reading the watchdog's period", "error", err)
	}
	return &Systemd{log: log, interval: period / 3}
}

// Tell implements Notifier.
func (s *Systemd) Tell(turn Turn, line string) {
	var state []string
	switch turn {
	case Starting:
		state = append(state, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", moreTime.Microseconds()))
	case Ready:
		state = append(state, daemon.SdNotifyReady)
	case Reloading:
		state = append(state, daemon.SdNotifyReloading, s.monotonic())
	case Stopping:
		state = append(state, daemon.SdNotifyStopping)
	case Going:
	}
	s.send(strings.Join(append(state, "STATUS="+outbound.Sanitize(line, mostLine)), "\n"))
}

// monotonic lets systemd tell this reload from the one before.
func (s *Systemd) monotonic() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.log.Warn("reading the monotonic clock", "error", err)
	}
	return fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)
}

// Watchdog implements Notifier.
func (s *Systemd) Watchdog() { s.send(daemon.SdNotifyWatchdog) }

// Interval implements Notifier.
func (s *Systemd) Interval() time.Duration { return s.interval }

func (s *Systemd) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("telling systemd", "error", err)
	}
}
