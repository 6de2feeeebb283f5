package agent

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Systemd tells systemd how the agent is, over $NOTIFY_SOCKET.
type Systemd struct {
	log      *slog.Logger
	interval time.Duration
}

// NewSystemd returns a Notifier, or nil where no service manager listens. The watchdog is fed twice per period.
func NewSystemd(getenv func(string) string, log *slog.Logger) *Systemd {
	if getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("reading the watchdog's period", "error", err)
	}
	return &Systemd{log: log, interval: period / 2}
}

// Ready says that the agent works, with a line for `systemctl status`.
func (s *Systemd) Ready(status string) { s.send(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// Reloading says that a reload began. The time stamp lets systemd tell this reload from the one before.
func (s *Systemd) Reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.log.Warn("reading the monotonic clock", "error", err)
	}
	s.send(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// Stopping says that the shutdown began.
func (s *Systemd) Stopping() { s.send(daemon.SdNotifyStopping + "\nSTATUS=stopping") }

// Watchdog says that the scheduler ticked.
func (s *Systemd) Watchdog() { s.send(daemon.SdNotifyWatchdog) }

// Interval is the time between two Watchdog calls; 0 where systemd wants none.
func (s *Systemd) Interval() time.Duration { return s.interval }

func (s *Systemd) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("telling systemd", "error", err)
	}
}
