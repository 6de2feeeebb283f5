package host

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// oldestSystemd is the first that knows every line that the unit cannot do without.
const oldestSystemd = 247

// since is a directive that older versions of systemd do not know.
type since struct {
	key, value string // value "" is any
	version    int
	then       string // what an older one makes of it; "" where it is meant to be ignored
}

func newer() []since {
	return []since{
		{"Type", "notify-reload", 253, "reads it as Type=simple: no READY, no reload"},
		{"LoadCredentialEncrypted", "", 250, "starts the agent without the credential"},
		{"SetCredentialEncrypted", "", 250, "starts the agent without the credential"},
		{"RefreshOnReload", "", 260, "keeps the old credential until a restart"},
		{"ImportCredential", "", importSince, ""},
		{"RestartSteps", "", 254, ""},
		{"RestartMaxDelaySec", "", 254, ""},
	}
}

// systemd says how the unit of the agent is, where there is one.
func (m machine) systemd(context.Context) []Finding {
	const subject = "systemd"
	s := m.service
	switch {
	case s.Problem != "":
		return one(Finding{subject, Warning, "it does not say how the unit is: " + s.Problem, "systemctl status " + unitOf(m.Config)})
	case s.Manager == "":
		return one(ok(subject, "not the service manager of this host"))
	}
	out := one(m.version())
	switch {
	case s.Unit == "" && !strings.HasPrefix(m.Config, configDir):
		return append(out, ok("unit", "none runs %s", m.Config))
	case s.Unit == "":
		return append(out, Finding{"unit", Warning, unitOf(m.Config) + " is not installed, or does not run " + m.Config, "systemctl cat " + unitOf(m.Config)})
	}
	return append(out, m.unit()...)
}

// version judges the manager's version by what the unit asks of it.
func (m machine) version() Finding {
	const subject = "systemd"
	s := m.service
	if s.number < oldestSystemd {
		return Finding{
			subject, Wrong, fmt.Sprintf("version %s, want %d or later: credentials and parts of the hardening are not there", s.Manager, oldestSystemd),
			"systemd-analyze verify " + unitOf(m.Config) + "   # each line that it does not know; update the system",
		}
	}
	var ignored, grave []string
	for _, n := range newer() {
		for _, line := range s.lines {
			if s.number >= n.version || line.key != n.key || n.value != "" && line.value != n.value {
				continue
			}
			if n.then != "" {
				grave = append(grave, fmt.Sprintf("%s=%s of %s needs %d, and this one %s", line.key, line.value, line.file, n.version, n.then))
			} else if text := fmt.Sprintf("%s= (%d)", n.key, n.version); !slices.Contains(ignored, text) {
				ignored = append(ignored, text)
			}
		}
	}
	switch {
	case len(grave) > 0:
		return Finding{subject, Warning, fmt.Sprintf("version %s: %s", s.Manager, strings.Join(grave, "; ")), "systemctl edit --full " + s.Unit}
	case len(ignored) > 0:
		return ok(subject, "version %s; it ignores %s, which the unit can do without", s.Manager, strings.Join(ignored, ", "))
	}
	return ok(subject, "version %s", s.Manager)
}

// unit says how the unit is.
func (m machine) unit() []Finding {
	const subject = "unit"
	s := m.service
	var out []Finding
	unread := m.unread()
	switch {
	case unread != "":
		out = append(out, Finding{subject, Warning, fmt.Sprintf("systemd has not read %s yet", unread), "systemctl daemon-reload && systemctl restart " + s.Unit})
	case s.props["NeedDaemonReload"] == "yes":
		out = append(out, Finding{subject, Warning, "the files of " + s.Unit + " changed after systemd read them", "systemctl daemon-reload && systemctl restart " + s.Unit})
	}
	dropIns := "no drop-ins"
	if list := strings.Fields(s.props["DropInPaths"]); len(list) > 0 {
		dropIns = "with " + strings.Join(list, ", ")
	}
	state := fmt.Sprintf("%s is %s (%s), %s, %s", s.Unit, s.props["ActiveState"], s.props["SubState"], s.props["UnitFileState"], dropIns)
	switch {
	case s.props["ActiveState"] == "failed", s.props["SubState"] == "auto-restart": // it starts, ends, and is started again
		out = append(out, Finding{subject, Warning, state + "; result " + s.props["Result"], fmt.Sprintf("journalctl -u %s -n 20 --no-pager", s.Unit)})
	case slices.Contains([]string{"active", "reloading"}, s.props["ActiveState"]) && s.props["UnitFileState"] == "disabled":
		out = append(out, Finding{subject, Warning, state + ": after a boot it does not run", "systemctl enable " + s.Unit})
	case !slices.Contains([]string{"active", "reloading"}, s.props["ActiveState"]):
		out = append(out, Finding{subject, Warning, state, "systemctl enable --now " + s.Unit})
	default:
		out = append(out, ok(subject, "%s, process %s", state, s.props["MainPID"]))
	}
	return out
}

// unread is a drop-in that systemd does not know of. It does not notice by itself that a folder for them was made.
func (m machine) unread() string {
	known := strings.Fields(m.service.props["DropInPaths"])
	names := []string{m.service.Unit}
	if template, _, isInstance := strings.Cut(m.service.Unit, "@"); isInstance {
		names = append(names, template+"@.service")
	}
	for _, name := range names {
		for _, dir := range []string{"/etc/systemd/system/", "/run/systemd/system/", "/usr/local/lib/systemd/system/", "/usr/lib/systemd/system/"} {
			found, _ := filepath.Glob(m.at(dir + name + ".d/*.conf"))
			for _, path := range found {
				path = strings.TrimPrefix(path, m.Root)
				if !slices.Contains(known, path) && !slices.Contains(known, strings.TrimPrefix(path, "/usr")) && !m.masked(path) {
					return path
				}
			}
		}
	}
	return ""
}

// masked reports whether a drop-in of the same name in a folder that comes before counts in its stead, or turns it off.
func (m machine) masked(path string) bool {
	name := filepath.Base(path)
	if info, err := os.Stat(m.at(path)); err == nil && info.Mode()&fs.ModeDevice != 0 {
		return true // a link to /dev/null
	}
	return slices.ContainsFunc(strings.Fields(m.service.props["DropInPaths"]), func(known string) bool { return filepath.Base(known) == name })
}

// running is the process of the unit; 0 where it does not run.
func (s *Service) running() int {
	pid, _ := strconv.Atoi(s.props["MainPID"])
	return pid
}

// proxies compares the variables that count here with those that the service gets.
func (m machine) proxies(context.Context) []Finding {
	const subject = "proxy"
	var out []Finding
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		here := m.Getenv(name)
		if here == "" {
			here = m.Getenv(strings.ToLower(name))
		}
		switch {
		case here == "":
		case m.Network.Proxies[name] != here:
			out = append(out, Finding{subject, Warning, name + " is set here, and the configuration's `network` says otherwise: that counts", "unset " + name + " " + strings.ToLower(name)})
		case m.service.Unit != "" && !m.given(name):
			out = append(out, Finding{
				subject, Warning, fmt.Sprintf("%s is set for who asks, not for %s: the agent goes without", name, m.service.Unit), m.setVariable(name),
			})
		}
	}
	return out
}

func (m machine) given(name string) bool {
	_, upper := m.service.variable(m.Options, name)
	_, lower := m.service.variable(m.Options, strings.ToLower(name))
	return upper || lower
}

// setVariable puts a variable of this shell into the file that the unit reads. Its value may hold a password: it is not told.
func (m machine) setVariable(name string) string {
	file := "/etc/default/windsock"
	if files := m.service.environmentFiles(); len(files) > 0 {
		file = files[0]
	}
	return fmt.Sprintf(`echo "%[1]s=${%[1]s:-$%[2]s}" >>%[3]s && systemctl restart %[4]s`, name, strings.ToLower(name), quote(file), m.service.Unit)
}

// descriptors judges how many files the agent may have open.
func (m machine) descriptors(context.Context) []Finding {
	const subject, enough = "descriptors", 1024
	hard := m.service.bytesOf("LimitNOFILE")
	if m.service.Unit == "" {
		hard = ownDescriptors()
	}
	switch {
	case hard == 0:
		return one(ok(subject, "as many as the kernel gives"))
	case hard < enough:
		fix := "ulimit -Hn 65536"
		if unit := m.service.Unit; unit != "" {
			fix = fmt.Sprintf("mkdir -p /etc/systemd/system/%[1]s.d && printf '[Service]\\nLimitNOFILE=65536\\n' >/etc/systemd/system/%[1]s.d/files.conf && systemctl daemon-reload && systemctl restart %[1]s", unit)
		}
		return one(Finding{subject, Warning, fmt.Sprintf("%d at the most, want %d or more: checks that run at the same time may find none left", hard, enough), fix})
	}
	return one(ok(subject, "%d at the most", hard))
}

// authorities looks for the certificates that TLS is judged by, where Go looks.
func (m machine) authorities(context.Context) []Finding {
	const subject = "authorities"
	for _, path := range []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	} {
		if n := strings.Count(m.text(path), "-----BEGIN CERTIFICATE-----"); n > 0 {
			return one(ok(subject, "%d in %s", n, path))
		}
	}
	entries, _ := os.ReadDir(m.at("/etc/ssl/certs"))
	if len(entries) > 0 {
		return one(ok(subject, "%d files in /etc/ssl/certs", len(entries)))
	}
	if m.Getenv("SSL_CERT_FILE") != "" || m.Getenv("SSL_CERT_DIR") != "" {
		return one(ok(subject, "where SSL_CERT_FILE and SSL_CERT_DIR say"))
	}
	fix := m.install("ca-certificates")
	if m.Network.CAFile != "" {
		return one(Finding{subject, Warning, "the host has none: only those of network.ca_file are trusted", fix})
	}
	return one(Finding{subject, Wrong, "the host has none: every TLS connection fails with an unknown authority", fix})
}
