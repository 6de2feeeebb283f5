package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/windsock-monitor/windsock/internal/executable"
	"github.com/windsock-monitor/windsock/internal/process"
	"github.com/windsock-monitor/windsock/internal/sandbox"
)

// landlockSince is the first kernel with Landlock.
const landlockSince = "5.13"

// kernel says what the kernel can hold programs to, and, where programs are to run, what is then weaker.
func (m machine) kernel(context.Context) []Finding {
	if m.Root != "" {
		return nil
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return one(Finding{"kernel", Warning, "it does not tell its version: " + err.Error(), "uname -a"})
	}
	release := unix.ByteSliceToString(name.Release[:])
	offer := sandbox.Look()
	offer.Cgroup = "" // of who asks, not of the service
	parts := []string{"Linux " + release, noted(offer.Landlock > 0, fmt.Sprintf("Landlock %d", offer.Landlock), "no Landlock"), noted(offer.Seccomp, "seccomp", "no seccomp"), noted(pidfd(), "pidfd", "no pidfd")}
	out := one(ok("kernel", "%s", strings.Join(parts, ", ")))
	if !m.Programs {
		return out
	}
	offer.Cgroup = "judged below"
	if missing := offer.Missing(); len(missing) > 0 {
		out = append(out, Finding{"kernel", Warning, strings.Join(missing, "; "), landlockWay(release, offer)})
	}
	return append(out, m.cgroups()...)
}

func noted(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

func pidfd() bool {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// landlockWay is how a host comes by what its kernel lacks.
func landlockWay(release string, offer sandbox.Offer) string {
	if offer.Landlock == 0 && !older(release, landlockSince) {
		return "cat /sys/kernel/security/lsm   # without landlock: add it to the kernel's parameter lsm= and boot; in a container, its seccomp profile hides it"
	}
	return "uname -r   # a newer kernel of the distribution brings it; until then run only programs that you trust as the agent's user"
}

// older compares the first two numbers of versions.
func older(version, than string) bool {
	return slices.Compare(twoNumbers(version), twoNumbers(than)) < 0
}

func twoNumbers(version string) []int {
	major, rest, _ := strings.Cut(version, ".")
	return []int{leadingNumber(major), leadingNumber(rest)}
}

// cgroups says whether each program can get bounds of its own.
func (m machine) cgroups() []Finding {
	const subject = "cgroups"
	s := m.service
	if s.Unit == "" {
		offer := sandbox.Look()
		if offer.Cgroup != "" {
			return one(ok(subject, "programs get bounds of their own, below %s", offer.Cgroup))
		}
		return one(Finding{subject, Warning, "programs share the memory and processes of the agent: " + offer.Why, "run the agent by systemd with /usr/share/windsock/drop-ins/plugins.conf"})
	}
	controllers := strings.Fields(m.text("/sys/fs/cgroup/cgroup.controllers"))
	enable := fmt.Sprintf("install -D -m 0644 /usr/share/windsock/drop-ins/plugins.conf -t /etc/systemd/system/%[1]s.d/ && systemctl daemon-reload && systemctl restart %[1]s", s.Unit)
	switch {
	case !slices.Contains(controllers, "memory") || !slices.Contains(controllers, "pids"):
		return one(Finding{
			subject, Warning, "this host has no controllers of memory and processes in cgroup v2: programs share the bounds of the unit, where it has any",
			"cat /sys/fs/cgroup/cgroup.controllers   # without memory and pids: boot with systemd.unified_cgroup_hierarchy=1",
		})
	case s.props["Delegate"] != "yes":
		return one(Finding{subject, Warning, s.Unit + " delegates no cgroup: programs share the unit's memory and processes", enable})
	case s.props["ProtectControlGroups"] != "no":
		return one(Finding{subject, Warning, s.Unit + " has ProtectControlGroups=yes beside Delegate=: programs share the unit's memory and processes", enable})
	}
	return one(ok(subject, "each program gets bounds of its own, delegated by %s", s.Unit))
}

// sandbox starts a program behind the same walls as a plugin, and has it try what they are there to keep it from: reading the
// configuration.
func (m machine) sandbox(ctx context.Context) []Finding {
	const subject = "sandbox"
	if m.Root != "" || !m.Programs || m.Config == "" || strings.HasPrefix(m.Config, "/usr/") {
		return nil
	}
	file, err := executable.Open("/usr/bin/cat", "", executable.Options{Links: true})
	if err != nil {
		return one(Finding{subject, Warning, "not tried: there is no /usr/bin/cat that could be run: " + err.Error(), "windsock plugins verify"})
	}
	defer func() { _ = file.Close() }()
	keep := process.Bounds{Keep: 200}
	end, err := process.Run(ctx, process.Command{
		Path: file.Path, File: file.Descriptor(), Confine: &sandbox.Policy{Network: sandbox.NetworkNone},
		Argv: []string{"cat", m.Config}, Env: []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}, Stdout: process.Bounds{Keep: 1}, Stderr: keep,
	})
	return one(confinement(m.Config, sandbox.Look().Landlock > 0, end, err))
}

// confinement judges how the trial ended. What the program read is not told.
func confinement(path string, walls bool, end process.End, err error) Finding {
	out := Finding{Subject: "sandbox", Level: Wrong, Fix: "cat /sys/kernel/security/lsm; grep Seccomp /proc/self/status   # what else confines this process, a container as a rule"}
	stderr := strings.TrimSpace(string(end.Stderr.Text))
	if sentence, ours := sandbox.Explain(end.Code, stderr); ours {
		err = errors.New(sentence)
	}
	switch {
	case err != nil:
		out.Detail = "a confined program does not start here: " + err.Error()
	case end.Stopped != process.StopNone:
		out.Detail = "a confined program did not end in time"
	case (len(end.Stdout.Text) > 0 || end.Code == 0) && !walls:
		return ok("sandbox", "a confined program was started; without Landlock nothing keeps it from files")
	case len(end.Stdout.Text) > 0 || end.Code == 0:
		out.Detail = "a confined program could read " + path + ", though this kernel has Landlock"
	case !strings.Contains(stderr, "ermission denied"):
		out.Detail = "a confined program ended with status " + strconv.Itoa(end.Code) + ", and not for want of the right to read " + path
	default:
		return ok("sandbox", "a confined program was started, and refused to read %s", path)
	}
	return out
}
