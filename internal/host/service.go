package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Service is the unit that runs the agent with one configuration, as the service manager and its files tell, and the user
// that it runs as.
type Service struct {
	Unit    string // "windsock.service"; "" where no unit of this host runs this configuration
	Manager string // the version of systemd where it is the host's service manager; "" where it is not
	Problem string // why systemd could not be asked
	Account Account
	number  int               // of the version
	props   map[string]string // of the unit
	lines   []directive       // of the unit's files
}

// directive is one line of a unit.
type directive struct{ file, key, value string }

// importSince is the version of systemd that knows ImportCredential=.
const importSince = 254

// managerPatience is how long systemd may take to answer.
const managerPatience = 2 * time.Second

const (
	configDir     = "/etc/windsock/"
	defaultConfig = configDir + "schedules.yaml"
	defaultUnit   = "windsock.service"
)

// FindService asks systemd for the unit that runs the configuration. Where there is no systemd, or no unit, the service's user
// is who asks.
func FindService(ctx context.Context, o Options) *Service {
	ctx, cancel := context.WithTimeout(ctx, managerPatience)
	defer cancel()
	s := &Service{Account: asker(o)}
	if _, err := os.Stat(o.at("/run/systemd/system")); err != nil {
		return s
	}
	if o.Shell == nil {
		o.Shell = shell
	}
	version, err := o.Shell(ctx, "systemctl", "show", "--property=Version", "--value")
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	s.Manager = strings.TrimSpace(version)
	s.number = leadingNumber(strings.TrimPrefix(s.Manager, "v"))
	unit := unitOf(o.Config)
	text, err := o.Shell(ctx, "systemctl", "show", "--property="+strings.Join(asked(), ","), "--", unit)
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	props := properties(text)
	if props["LoadState"] != "loaded" || unitOf(o.Config) == defaultUnit && !names(props["ExecStart"], o.Config) {
		return s
	}
	s.Unit, s.props = unit, props
	s.lines = o.directives(append([]string{props["FragmentPath"]}, strings.Fields(props["DropInPaths"])...))
	s.Account = o.account(props["User"], props["Group"], strings.Fields(props["SupplementaryGroups"]))
	return s
}

// unitOf is the unit that runs a configuration by the installed layout.
func unitOf(config string) string {
	name, found := strings.CutPrefix(config, configDir)
	name, isYAML := strings.CutSuffix(name, ".yaml")
	plain := !strings.Contains(name, "/") && quote(name) == name // what systemd, and a shell, take as it is
	if found && isYAML && plain && config != defaultConfig {
		return "windsock@" + name + ".service"
	}
	return defaultUnit
}

// names reports whether a command line holds the path as a word of its own. A unit without a path runs the default one.
func names(command, path string) bool {
	for word := range strings.FieldsSeq(command) {
		if strings.TrimPrefix(word, "--config=") == path {
			return true
		}
	}
	return path == defaultConfig && command != "" && !strings.Contains(command, "--config") && !strings.Contains(command, " -c ")
}

func asked() []string {
	return []string{
		"LoadState", "ActiveState", "SubState", "UnitFileState", "User", "Group", "SupplementaryGroups", "NeedDaemonReload", "FragmentPath",
		"DropInPaths", "MemoryMax", "LimitNOFILE", "Environment", "EnvironmentFiles", "MainPID", "ExecStart", "Delegate", "ProtectControlGroups",
		"ProtectHome", "PrivateTmp", "Result", "StatusText",
	}
}

func properties(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		if before := out[key]; before != "" { // EnvironmentFiles has a line for each
			value = before + " " + value
		}
		out[key] = value
	}
	return out
}

// directives are the lines of a unit's files, in their order. A value that goes on in the next line ends with its first.
func (o Options) directives(files []string) []directive {
	var out []directive
	for _, file := range files {
		if file == "" {
			continue
		}
		for line := range strings.Lines(o.text(file)) {
			key, value, found := strings.Cut(strings.TrimSpace(line), "=")
			if found && !strings.HasPrefix(key, "#") && !strings.HasPrefix(key, ";") {
				out = append(out, directive{file, strings.TrimSpace(key), strings.TrimSpace(value)})
			}
		}
	}
	return out
}

// Gives reports whether the unit gives the agent what who asks may not see: "credential NAME" or "env NAME", and by what.
func (s *Service) Gives(o Options, place string) (by string, given bool) {
	if s.Unit == "" {
		return "", false
	}
	kind, name, _ := strings.Cut(place, " ")
	switch kind {
	case "credential":
		return s.credential(o, name)
	case "env":
		return s.variable(o, name)
	}
	return "", false
}

// credential finds who brings one into the unit. Where the unit runs, what is in its folder counts, and only that.
func (s *Service) credential(o Options, name string) (string, bool) {
	if s.props["ActiveState"] == "active" {
		entries, err := os.ReadDir(o.at("/run/credentials/" + s.Unit))
		has := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
		switch {
		case has:
			return "systemd, to the running " + s.Unit, true
		case err == nil, errors.Is(err, fs.ErrNotExist):
			return "", false
		}
	}
	for _, line := range s.lines {
		id, from, _ := strings.Cut(line.value, ":")
		switch line.key {
		case "LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted":
			if id == name {
				return fmt.Sprintf("%s=%s of %s", line.key, id, line.file), true
			}
		case "ImportCredential":
			if match, _ := path.Match(id, name); match && from == "" && s.number >= importSince && o.imported(name) {
				return fmt.Sprintf("ImportCredential=%s of %s", id, line.file), true
			}
		}
	}
	return "", false
}

// Bring is the command that gives the unit a credential that lies ready on the host; "" where none does.
func (s *Service) Bring(o Options, name string) string {
	from := "/etc/credstore/" + name
	if _, err := os.Stat(o.at(from)); err != nil || s.Unit == "" {
		return ""
	}
	restart := "systemctl daemon-reload && systemctl restart " + s.Unit
	if s.number >= importSince && slices.ContainsFunc(s.lines, func(d directive) bool {
		match, _ := path.Match(d.value, name)
		return d.key == "ImportCredential" && match
	}) {
		return restart
	}
	return fmt.Sprintf("mkdir -p /etc/systemd/system/%[1]s.d && printf '[Service]\\nLoadCredential=%[2]s:%[3]s\\n' >/etc/systemd/system/%[1]s.d/credential-%[2]s.conf && %[4]s", s.Unit, name, from, restart)
}

// imported reports whether a credential is where ImportCredential= looks.
func (o Options) imported(name string) bool {
	for _, dir := range []string{
		"/run/credentials/@system", "/run/credentials/@encrypted", "/etc/credstore", "/etc/credstore.encrypted", "/run/credstore",
		"/run/credstore.encrypted", "/usr/lib/credstore", "/usr/lib/credstore.encrypted",
	} {
		if _, err := os.Stat(o.at(filepath.Join(dir, name))); err == nil {
			return true
		}
	}
	return false
}

// variable finds an environment variable that the unit sets.
func (s *Service) variable(o Options, name string) (string, bool) {
	for word := range strings.FieldsSeq(s.props["Environment"]) {
		if strings.HasPrefix(strings.Trim(word, `"`), name+"=") {
			return "Environment= of " + s.Unit, true
		}
	}
	for _, file := range s.environmentFiles() {
		for line := range strings.Lines(o.text(file)) {
			key, value, found := strings.Cut(strings.TrimSpace(line), "=")
			if found && strings.TrimSpace(key) == name && strings.Trim(value, `"' `) != "" {
				return file, true
			}
		}
	}
	return "", false
}

// environmentFiles reads "/etc/default/windsock (ignore_errors=yes)".
func (s *Service) environmentFiles() []string {
	var out []string
	for word := range strings.FieldsSeq(s.props["EnvironmentFiles"]) {
		if strings.HasPrefix(word, "/") {
			out = append(out, word)
		}
	}
	return out
}

// bytesOf is a property that is a size; 0 where it bounds nothing.
func (s *Service) bytesOf(property string) int64 {
	n, err := strconv.ParseInt(s.props[property], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// shell runs a program of the system with a clean environment, and no longer than ctx.
func shell(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // fixed words, and the name of a unit
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"}
	cmd.WaitDelay = 100 * time.Millisecond
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("%s did not answer in time", argv[0])
		}
		if line, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n"); line != "" {
			return "", fmt.Errorf("%s: %s", argv[0], line)
		}
		return "", err
	}
	return stdout.String(), nil
}

// leadingNumber is the number that a text begins with; 0 where there is none.
func leadingNumber(text string) int {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(text[:end])
	return n
}

// Directories are those of state and of sockets that the unit makes; "" where it makes none.
func (s *Service) Directories() (state, runtime string) {
	for _, line := range s.lines {
		name, _, _ := strings.Cut(line.value, " ")
		instance := strings.TrimSuffix(strings.TrimPrefix(s.Unit, "windsock@"), ".service")
		name = strings.NewReplacer("%i", instance, "%I", instance, "%n", s.Unit, "%N", strings.TrimSuffix(s.Unit, ".service")).Replace(name)
		switch {
		case name == "":
		case line.key == "StateDirectory":
			state = filepath.Join("/var/lib", name)
		case line.key == "RuntimeDirectory":
			runtime = filepath.Join("/run", name)
		}
	}
	return state, runtime
}
