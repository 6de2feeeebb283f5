package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/internal/clock"
	"github.com/windsock-monitor/windsock/internal/config"
	"github.com/windsock-monitor/windsock/internal/host"
)

// exportWayOut is what an operator does about an exporter's error: about a Unix socket that is not for this user.
func (a *Agent) exportWayOut(err error) string {
	failed, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return ""
	}
	socket, ok := failed.Addr.(*net.UnixAddr)
	if !ok {
		return ""
	}
	return host.SocketWayOut(Unit(a.o.Config.Path), socket.Name, err)
}

// clockWayOut is how a clock is set.
const clockWayOut = "`timedatectl set-ntp true`, or `date -s`, sets it; checks of certificates fail as our own fault until then"

// warnOfClock says once that the clock cannot be right.
func (a *Agent) warnOfClock(now time.Time) {
	if clock.Wrong(now) {
		a.o.Log.Warn("the clock is wrong: certificates cannot be checked, and records carry a wrong time", "clock", now.UTC().Format(time.RFC3339), "hint", clockWayOut)
	}
}

// warnOfKeys says of each provider whose key has no value anywhere where one can be put. Its checks are errors of ours
// until then, and the key is looked for again at every run.
func (a *Agent) warnOfKeys(ctx context.Context, cfg *config.Config) {
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		if p.APIKey.IsZero() {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		_, err := p.APIKey.Reveal(bounded)
		cancel()
		if err != nil && ctx.Err() == nil {
			a.o.Log.Error("the provider has no API key: its checks are errors until it has one", "provider", p.Name, "error", err, "hint", keyWayOut(err, Unit(cfg.Path)))
		}
	}
}

// keyWayOut is where a key can be put, after the places that were looked at.
func keyWayOut(err error, unit string) string {
	if unit == "" {
		unit = "windsock"
	}
	text := err.Error()
	for place := range strings.SplitSeq(text, "; ") {
		if !strings.Contains(place, "absent") {
			return "mend what the error names; the key is looked for at every run"
		}
	}
	if _, after, found := strings.Cut(text, "credential "); found {
		name, _, _ := strings.Cut(after, ":")
		return fmt.Sprintf("put it into /etc/credstore/%[1]s (root, 0600), before systemd 254 also `install -D -m 0644 /usr/share/windsock/drop-ins/credential.conf -t /etc/systemd/system/%[2]s.service.d/ && systemctl daemon-reload`, then `systemctl restart %[2]s`; a key file is read without a restart", name, unit)
	}
	return "put it where the configuration says; it is looked for at every run"
}
