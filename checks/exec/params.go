package exec

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
)

// The bounds of one command line.
const (
	maxArgs = 128
	maxText = 8 << 10 // bytes of an argument or a variable
	maxEnv  = 64      // variables
)

// The meanings of a plugin that does not end in time.
const (
	timeoutUnknown = "unknown"
	timeoutFailed  = "failed"
)

// Params is the `with:` section.
type Params struct {
	Argv         []string                 `jsonschema:"required" jsonschema_description:"The plugin's absolute path, in one of programs.directories, and its arguments. There is no shell. Every user of the host can read arguments: no place for secrets." yaml:"argv"`
	Env          map[string]string        `jsonschema_description:"Environment variables for the plugin, beside PATH, LANG and those of programs.env." yaml:"env"`
	SecretEnv    map[string]checks.Secret `jsonschema_description:"Environment variables that are credentials, by reference. Their values are taken out of what the plugin prints." yaml:"secret_env"`
	TimeoutMeans string                   `jsonschema:"enum=unknown,enum=failed" jsonschema_description:"What a plugin says that had to be stopped at the check's timeout: unknown, because nobody judged the target; or failed, as Nagios does, where the plugin is known to hang when its target does." yaml:"timeout_means"`
	Blame        checks.Blame             `jsonschema:"enum=application,enum=provider,enum=network,enum=local,enum=account,enum=config,enum=ours" jsonschema_description:"Whose fault it is when the plugin says WARNING or CRITICAL." yaml:"blame"`
}

func defaults() Params {
	return Params{TimeoutMeans: timeoutUnknown, Blame: checks.BlameApplication}
}

// Validate checks everything that the types do not.
func (p Params) Validate() error {
	errs := []error{validateArgv(p.Argv), p.validateEnv()}
	bad := func(path, format string, args ...any) { errs = append(errs, checks.Invalid(path, format, args...)) }
	if p.TimeoutMeans != timeoutUnknown && p.TimeoutMeans != timeoutFailed {
		bad("timeout_means", "%q, want unknown or failed", p.TimeoutMeans)
	}
	switch p.Blame {
	case checks.BlameApplication, checks.BlameProvider, checks.BlameNetwork, checks.BlameLocal, checks.BlameAccount, checks.BlameConfig, checks.BlameOurs:
	case checks.BlameNone, checks.BlameSkipped:
		bad("blame", "%q, want application, provider, network, local, account, config or ours", p.Blame)
	default:
		bad("blame", "%q, want application, provider, network, local, account, config or ours", p.Blame)
	}
	return errors.Join(errs...)
}

func (p Params) validateEnv() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, checks.Invalid(path, format, args...)) }
	if len(p.Env)+len(p.SecretEnv) > maxEnv {
		bad("env", "%d variables, want at most %d", len(p.Env)+len(p.SecretEnv), maxEnv)
	}
	for name, value := range p.Env {
		if err := validName(name); err != nil {
			bad("env."+name, "%v", err)
		}
		if _, both := p.SecretEnv[name]; both {
			bad("env."+name, "it is in secret_env too")
		}
		if len(value) > maxText || strings.ContainsRune(value, 0) {
			bad("env."+name, "want at most %d bytes without NUL", maxText)
		}
	}
	for name, secret := range p.SecretEnv {
		if err := validName(name); err != nil {
			bad("secret_env."+name, "%v", err)
		}
		if secret.IsZero() {
			bad("secret_env."+name, "it names no source")
		}
	}
	return errors.Join(errs...)
}

func validateArgv(argv []string) error {
	if len(argv) == 0 {
		return checks.Invalid("argv", "it is empty, want the plugin's path and its arguments")
	}
	var errs []error
	if path := argv[0]; !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
		errs = append(errs, checks.Invalid("argv.0", "%q, want an absolute path in its shortest form; there is no shell and no search path", path))
	}
	if len(argv) > maxArgs {
		errs = append(errs, checks.Invalid("argv", "%d arguments, want at most %d", len(argv), maxArgs))
	}
	credential := regexp.MustCompile(`(?i)^--?(pass|passwd|password|token|secret|api[-_]?key|authorization)(=|$)`)
	for i, arg := range argv {
		at := fmt.Sprintf("argv.%d", i)
		if len(arg) > maxText || strings.ContainsRune(arg, 0) {
			errs = append(errs, checks.Invalid(at, "want at most %d bytes without NUL", maxText))
		}
		if credential.MatchString(arg) {
			errs = append(errs, checks.Invalid(at, "it gives a credential as an argument, which every user of the host can read; use a plugin that takes it from its environment, and secret_env"))
		}
	}
	return errors.Join(errs...)
}

func validName(name string) error {
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`).MatchString(name) {
		return fmt.Errorf("%q is not the name of an environment variable", name)
	}
	if strings.HasPrefix(name, "WINDSOCK_") {
		return fmt.Errorf("%q is the agent's own", name)
	}
	return nil
}
