package host

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/clock"
)

// memory compares the host's memory with the bounds of the unit.
func (m machine) memory(context.Context) []Finding {
	const subject = "memory"
	total, free := m.meminfo("MemTotal"), m.meminfo("MemAvailable")
	if total == 0 {
		return nil
	}
	bound := m.service.bytesOf("MemoryMax")
	soft, goal := m.goal()
	host := fmt.Sprintf("%s on the host, %s of it available", size(total), size(free))
	override := func(line string) string {
		return fmt.Sprintf("mkdir -p /etc/systemd/system/%[1]s.d && printf '[Service]\\n%[2]s\\n' >/etc/systemd/system/%[1]s.d/memory.conf && systemctl daemon-reload && systemctl restart %[1]s", m.service.Unit, line)
	}
	const least = 128 << 20
	switch {
	case bound > 0 && soft >= bound:
		return one(Finding{subject, Warning, fmt.Sprintf("GOMEMLIMIT=%s is not below MemoryMax=%s: the kernel kills the agent before it saves memory", goal, size(bound)), override("Environment=GOMEMLIMIT=" + mebibytes(bound/4*3) + "iB")})
	case bound > total:
		return one(Finding{
			subject, Warning, fmt.Sprintf("MemoryMax=%s of %s is more than the host has (%s): it bounds nothing", size(bound), m.service.Unit, size(total)),
			override("MemoryMax=" + mebibytes(total/2) + `\nEnvironment=GOMEMLIMIT=` + mebibytes(total/8*3) + "iB"),
		})
	case free > 0 && free < least && m.service.running() == 0:
		return one(Finding{subject, Warning, host + ": the agent takes 30 MiB and grows with its checks", "ps -eo rss,comm --sort=-rss | head"})
	case bound > 0:
		return one(ok(subject, "%s; MemoryMax=%s", host, size(bound)))
	}
	return one(ok(subject, "%s", host))
}

func mebibytes(n int64) string { return strconv.FormatInt(n>>20, 10) + "M" }

// goal is the unit's GOMEMLIMIT, in bytes and as it is written.
func (m machine) goal() (int64, string) {
	for word := range strings.FieldsSeq(m.service.props["Environment"]) {
		value, found := strings.CutPrefix(strings.Trim(word, `"`), "GOMEMLIMIT=")
		if !found {
			continue
		}
		n := int64(leadingNumber(value))
		switch strings.TrimLeft(value, "0123456789") {
		case "KiB":
			n <<= 10
		case "MiB":
			n <<= 20
		case "GiB":
			n <<= 30
		case "TiB":
			n <<= 40
		}
		return n, value
	}
	return 0, ""
}

// meminfo is a line of /proc/meminfo, in bytes.
func (m machine) meminfo(name string) int64 {
	for line := range strings.Lines(m.text("/proc/meminfo")) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return int64(leadingNumber(strings.TrimSpace(value))) << 10
		}
	}
	return 0
}

// ownDescriptors is the bound of this process; 0 is none.
func ownDescriptors() int64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Max > math.MaxInt64 {
		return 0
	}
	return int64(limit.Max)
}

// clock judges the wall clock by itself. What others say of it is judged with Offset.
func (m machine) clock(context.Context) []Finding {
	if m.Root != "" {
		return nil
	}
	var state unix.Timex // no modes: it is only read
	status, err := unix.Adjtimex(&state)
	found := timepiece{
		now: time.Now(), released: m.Released, asleep: clock.Suspended(), known: err == nil,
		synchronised: status != unix.TIME_ERROR && state.Status&unix.STA_UNSYNC == 0,
	}.judge()
	switch found.Level {
	case Wrong: // nothing can be fetched with such a clock
		found.Fix = "date -s 'YYYY-MM-DD hh:mm:ss'   # with the time as it is; then " + m.keepClock()
	case Warning:
		found.Fix = m.keepClock()
	case OK:
	}
	return one(found)
}

// keepClock is how the clock comes to be kept right, by the program that is there for it.
func (m machine) keepClock() string {
	switch {
	case exists(m.at("/usr/sbin/chronyd")):
		return "chronyc makestep; chronyc tracking"
	case exists(m.at("/usr/lib/systemd/systemd-timesyncd")), exists(m.at("/lib/systemd/systemd-timesyncd")):
		return "timedatectl set-ntp true; timedatectl timesync-status"
	}
	return m.install("chrony")
}

// install is the command that installs a package.
func (m machine) install(name string) string {
	switch {
	case exists(m.at("/usr/bin/dnf")):
		return "dnf install -y " + name
	case exists(m.at("/usr/bin/zypper")):
		return "zypper install -y " + name
	}
	return "apt-get install -y " + name
}

// timepiece is the host's clock.
type timepiece struct {
	now, released       time.Time
	asleep              time.Duration
	known, synchronised bool // the kernel tells whether it is synchronised
}

// firstYear is before the first release: an earlier clock was never set.
const firstYear = 2026

func (c timepiece) judge() Finding {
	const subject, set = "clock", "timedatectl status"
	at := c.now.UTC().Format(time.RFC3339)
	asleep := ""
	if c.asleep >= time.Second {
		asleep = fmt.Sprintf("; the host slept for %s since it was booted", c.asleep.Round(time.Second))
	}
	switch {
	case c.now.Year() < firstYear:
		return Finding{subject, Wrong, "it says " + at + ": it was never set, and no certificate is valid", set}
	case c.now.Before(c.released):
		return Finding{subject, Wrong, fmt.Sprintf("it says %s, before this windsock was built (%s)", at, c.released.UTC().Format(time.DateOnly)), set}
	case c.known && !c.synchronised:
		return Finding{subject, Warning, "nobody keeps it right (the kernel calls it not synchronised)" + asleep, set}
	case !c.known:
		return ok(subject, "%s; the kernel does not tell whether it is synchronised%s", at, asleep)
	}
	return ok(subject, "synchronised%s", asleep)
}

// mostOffset is how far the clock may be from another's before it matters to certificates, budgets and whoever compares records.
const mostOffset = 30 * time.Second

// Offset judges the clock by the Date of an HTTP answer, which was asked for and came at these times. Date counts whole
// seconds, and the answer was on its way meanwhile: that much is nobody's fault.
func Offset(who string, date, asked, came time.Time) Finding {
	const subject = "clock"
	var off time.Duration
	switch latest := date.Add(time.Second); {
	case asked.After(latest):
		off = asked.Sub(latest)
	case came.Before(date):
		off = came.Sub(date)
	}
	if off.Abs() <= mostOffset {
		return ok(subject, "within %s of what %s says", max(off.Abs().Round(time.Second), time.Second), who)
	}
	direction := "ahead of"
	if off < 0 {
		direction = "behind"
	}
	return Finding{
		subject, Warning, fmt.Sprintf("%s %s what %s says: budgets, certificates and whoever compares records go by it", off.Abs().Round(time.Second), direction, who),
		"chronyc tracking || timedatectl timesync-status   # who should keep it right, and whether anybody does",
	}
}
