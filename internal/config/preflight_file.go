package config

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// Preflight is what `windsock preflight` looks at. Its zero value leaves most items of the checklist without evidence.
type Preflight struct {
	Target       string   // folder of the application's sources; "" where the file does not say
	Attestations string   // "" is none
	App          string   // name of the check of the kind app; "": the only one
	Models       []string // that the application calls, beside those of the checks
	Floating     []string // ids that may move
	Headroom     float64  // of each rate limit that must be left, 0 to 1
	Load         Usage
	Log          LogSource
	Documents    Documents
	Commands     Commands
	Staging      Staging
}

// Usage is what the application is expected to use in its busiest minute; 0 is not said.
type Usage struct{ Requests, Tokens int64 }

// LogSource is where the application's log can be read: one of File, Unit and Command is given, or none.
type LogSource struct {
	File, Unit string
	Command    []string
	Settle     time.Duration // how long after a request it is read
}

// Documents are paths below the target; "" is not said.
type Documents struct {
	Runbook, Rotation, Rollback, Escalation, Limits string
	MaxAge                                          time.Duration
}

// Commands are programs with their arguments, run in the target.
type Commands struct {
	Typecheck, Test []string
	Env             []string // variables of who asks that they get, beside PATH, HOME and LANG
	Timeout         time.Duration
}

// Staging is an application that is pointed at a simulator.
type Staging struct {
	APIKey          checks.Secret // that the staging application uses in earnest, to be compared; zero: not said
	AppURL          string        // its chat route
	Bearer          checks.Secret // that the chat route asks for; zero: none
	Headers         map[string]string
	Body            map[string]any
	SimulatorListen string   // "" where Command is started with the address
	Command         []string // starts it; nil where it runs already
	Env             []string // as that of Commands
	Variables       StagingVariables
	StartWithin     time.Duration
	AnswerWithin    time.Duration // the longest that a user is kept waiting
	Watch           time.Duration // how long after the answer requests are still counted
	RetryAfter      time.Duration // that a 429 asks for, whole seconds
	MinBackoff      time.Duration // the mean between two requests after a 500
	MaxRequests     int           // of one question
}

// StagingVariables are the names of the variables that the application reads.
type StagingVariables struct{ BaseURL, APIKey, FallbackAPIKey string }

type preflightOf struct {
	Target       string            `yaml:"target" jsonschema_description:"Folder of the application's sources and configurations. --target takes its place."`
	Attestations string            `yaml:"attestations" jsonschema_description:"YAML file with what nobody can measure and somebody stands for: item, owner, date, expires. Relative: below this file's folder."`
	App          string            `yaml:"app" jsonschema_description:"Name of the check of the kind app. May be left out when there is one."`
	Models       []string          `yaml:"models" jsonschema_description:"Models that the application calls, beside those of the checks."`
	Floating     []string          `yaml:"floating" jsonschema_description:"Ids of models that may move, such as mistral-small-latest, and are used deliberately."`
	Headroom     float64           `yaml:"headroom" jsonschema:"default=20,minimum=0,maximum=100" jsonschema_description:"So many per cent of each rate limit must be left."`
	Load         preflightLoad     `yaml:"load" jsonschema_description:"What the application is expected to use in its busiest minute: a limit that it would come near to is too small."`
	Log          logSource         `yaml:"log" jsonschema_description:"Where the application's log can be read: one of file, unit and command."`
	Documents    documents         `yaml:"documents" jsonschema_description:"What people need when something is wrong, as paths below the target."`
	Commands     preflightCommands `yaml:"commands" jsonschema_description:"Programs that are run in the target, without a shell: the only ones, but for log.command and staging.command."`
	Staging      stagingOf         `yaml:"staging" jsonschema_description:"A staging application that is pointed at a simulator, which misbehaves: nothing of it goes to the provider."`
}

type preflightLoad struct {
	Requests int64 `yaml:"requests_per_minute" jsonschema:"minimum=0" jsonschema_description:"Requests."`
	Tokens   int64 `yaml:"tokens_per_minute" jsonschema:"minimum=0" jsonschema_description:"Tokens, of questions and answers."`
}

type logSource struct {
	File    string        `yaml:"file" jsonschema_description:"A file. Relative: below this file's folder."`
	Unit    string        `yaml:"unit" jsonschema_description:"A unit of systemd, read with journalctl."`
	Command []string      `yaml:"command" jsonschema_description:"A program with its arguments that prints the newest lines and ends: [kubectl, logs, deploy/shop, --since=2m]."`
	Settle  time.Duration `yaml:"settle" jsonschema:"default=2s" jsonschema_description:"How long after the request it is read: a log may come late."`
}

type documents struct {
	Runbook    string        `yaml:"runbook" jsonschema_description:"What to do when something is wrong."`
	Rotation   string        `yaml:"rotation" jsonschema_description:"How a key is exchanged."`
	Rollback   string        `yaml:"rollback" jsonschema_description:"How a deployment is taken back."`
	Escalation string        `yaml:"escalation" jsonschema_description:"Whom to call, and when."`
	Limits     string        `yaml:"limits" jsonschema_description:"The rate limits: windsock models --output markdown writes one."`
	MaxAge     time.Duration `yaml:"max_age" jsonschema:"default=90d" jsonschema_description:"One that was not reviewed for longer is not fresh."`
}

type preflightCommands struct {
	Typecheck []string      `yaml:"typecheck" jsonschema_description:"Program with its arguments that ends with 0 where the types are right: [npm, run, typecheck]."`
	Test      []string      `yaml:"test" jsonschema_description:"Program with its arguments that ends with 0 where the tests pass: [npm, test]."`
	Env       []string      `yaml:"env" jsonschema_description:"Variables that they get beside PATH, HOME and LANG: NAME of whoever asks, or NAME=value; never a credential."`
	Timeout   time.Duration `yaml:"timeout" jsonschema:"default=10m" jsonschema_description:"Bound on each."`
}

type stagingOf struct {
	APIKey          checks.Secret     `yaml:"api_key" jsonschema_description:"The key that staging uses in earnest, by reference. It is compared with the provider's in memory, and nothing else."`
	AppURL          string            `yaml:"app_url" jsonschema_description:"Chat route of the staging application, which gets a POST: http://127.0.0.1:3001/api/chat."`
	Bearer          checks.Secret     `yaml:"bearer" jsonschema_description:"Token that the chat route asks for, by reference."`
	Headers         map[string]string `yaml:"headers" jsonschema_description:"Headers that are not secret, by name."`
	Body            map[string]any    `yaml:"body" jsonschema_description:"What it is asked, as JSON. Default: {message: \"Reply with the single word: pong\"}."`
	SimulatorListen string            `yaml:"simulator_listen" jsonschema_description:"Loopback address on which the simulator is served, for an application that runs already and is pointed at it: 127.0.0.1:9399."`
	Command         []string          `yaml:"command" jsonschema_description:"Starts the application for as long as it is looked at, in the target, with the address of the simulator and two keys of ours in its environment."`
	Env             []string          `yaml:"env" jsonschema_description:"Variables that it gets beside PATH, HOME and LANG: NAME of whoever asks, or NAME=value; never a credential."`
	Variables       stagingVariables  `yaml:"variables" jsonschema_description:"Names of the variables in which the application looks for the provider."`
	StartWithin     time.Duration     `yaml:"start_within" jsonschema:"default=30s" jsonschema_description:"How long the application may take to start."`
	AnswerWithin    time.Duration     `yaml:"answer_within" jsonschema:"default=30s" jsonschema_description:"The longest that a user may be kept waiting, whatever the provider does."`
	Watch           time.Duration     `yaml:"watch" jsonschema:"default=3s" jsonschema_description:"How long after its answer requests of the application are still counted."`
	RetryAfter      time.Duration     `yaml:"retry_after" jsonschema:"default=2s" jsonschema_description:"What a 429 of the simulator asks for, in whole seconds."`
	MinBackoff      time.Duration     `yaml:"min_backoff" jsonschema:"default=100ms" jsonschema_description:"After errors there is at least this time between two requests, on the average."`
	MaxRequests     int               `yaml:"max_requests" jsonschema:"default=6,minimum=1,maximum=100" jsonschema_description:"More requests for one question are a retry storm."`
}

type stagingVariables struct {
	BaseURL        string `yaml:"base_url" jsonschema:"default=MISTRAL_BASE_URL" jsonschema_description:"Of the address, without /v1."`
	APIKey         string `yaml:"api_key" jsonschema:"default=MISTRAL_API_KEY" jsonschema_description:"Of the key."`
	FallbackAPIKey string `yaml:"fallback_api_key" jsonschema:"default=MISTRAL_FALLBACK_API_KEY" jsonschema_description:"Of the fallback key."`
}

func (*preflightOf) reserved() []string { return []string{"checks", "items", "environments", "scan"} }

func presetPreflight() preflightOf {
	return preflightOf{
		Headroom: 20, Log: logSource{Settle: 2 * time.Second}, Documents: documents{MaxAge: 90 * 24 * time.Hour},
		Commands: preflightCommands{Timeout: 10 * time.Minute},
		Staging: stagingOf{
			Variables:   stagingVariables{BaseURL: "MISTRAL_BASE_URL", APIKey: "MISTRAL_API_KEY", FallbackAPIKey: "MISTRAL_FALLBACK_API_KEY"}, //nolint:gosec // names of variables
			StartWithin: 30 * time.Second, AnswerWithin: 30 * time.Second, Watch: 3 * time.Second, RetryAfter: 2 * time.Second,
			MinBackoff: 100 * time.Millisecond, MaxRequests: 6,
		},
	}
}

// preflight reads what `windsock preflight` looks at.
func (b *builder) preflight() {
	given := &b.file.Preflight
	out := Preflight{
		App: given.App, Models: given.Models, Floating: given.Floating, Headroom: given.Headroom / 100, Load: Usage(given.Load),
		Log: LogSource(given.Log), Documents: Documents(given.Documents), Commands: Commands(given.Commands), Staging: b.staging(&given.Staging),
	}
	for _, row := range []struct {
		path string
		into *string
	}{{given.Target, &out.Target}, {given.Attestations, &out.Attestations}, {given.Log.File, &out.Log.File}} {
		if row.path != "" {
			*row.into = b.absolute(row.path)
		}
	}
	if given.Headroom < 0 || given.Headroom > 100 {
		b.add(b.at("preflight.headroom"), "", "found %v, want 0 to 100 per cent", given.Headroom)
	}
	if given.App != "" {
		b.appOfPreflight(given.App)
	}
	b.oneOf("preflight.log", given.Log.File != "", given.Log.Unit != "", given.Log.Command != nil)
	b.argv("preflight.log.command", given.Log.Command)
	b.argv("preflight.commands.typecheck", given.Commands.Typecheck)
	b.argv("preflight.commands.test", given.Commands.Test)
	b.variablesOf("preflight.commands.env", given.Commands.Env)
	b.atLeast("preflight.log.settle", given.Log.Settle, 0)
	b.atLeast("preflight.documents.max_age", given.Documents.MaxAge, 24*time.Hour)
	b.atLeast("preflight.commands.timeout", given.Commands.Timeout, time.Second)
	b.cfg.Preflight = out
}

func (b *builder) appOfPreflight(name string) {
	for i := range b.cfg.Checks {
		if c := &b.cfg.Checks[i]; c.Name == name {
			if c.Kind != "app" {
				b.add(b.at("preflight.app"), "", "the check %q is of the kind %s, want one of the kind app", name, c.Kind)
			}
			return
		}
	}
	b.add(b.at("preflight.app"), "", "no check is named %s", quote(name))
}

func (b *builder) staging(s *stagingOf) Staging {
	const at = "preflight.staging"
	b.webAddress(at+".app_url", s.AppURL)
	if s.SimulatorListen != "" {
		b.loopback(at+".simulator_listen", s.SimulatorListen)
	}
	b.argv(at+".command", s.Command)
	b.variablesOf(at+".env", s.Env)
	for key, name := range map[string]string{"base_url": s.Variables.BaseURL, "api_key": s.Variables.APIKey, "fallback_api_key": s.Variables.FallbackAPIKey} {
		if !isVariable(name) {
			b.add(b.at(at+".variables."+key), "", "found %s, want the name of a variable", quote(name))
		}
	}
	b.atLeast(at+".start_within", s.StartWithin, 100*time.Millisecond)
	b.atLeast(at+".answer_within", s.AnswerWithin, 100*time.Millisecond)
	b.atLeast(at+".watch", s.Watch, 0)
	b.atLeast(at+".min_backoff", s.MinBackoff, 0)
	b.upTo(at+".max_requests", s.MaxRequests, 100)
	if s.RetryAfter < time.Second || s.RetryAfter%time.Second != 0 || s.RetryAfter > time.Minute {
		b.add(b.at(at+".retry_after"), "", "found %s, want whole seconds, 1s to 1m", short(s.RetryAfter))
	}
	return Staging{
		APIKey: s.APIKey, AppURL: s.AppURL, Bearer: s.Bearer, Headers: s.Headers, Body: s.Body, SimulatorListen: s.SimulatorListen, Command: s.Command,
		Env: s.Env, Variables: StagingVariables(s.Variables), StartWithin: s.StartWithin, AnswerWithin: s.AnswerWithin, Watch: s.Watch,
		RetryAfter: s.RetryAfter, MinBackoff: s.MinBackoff, MaxRequests: s.MaxRequests,
	}
}

// argv refuses a program without a name.
func (b *builder) argv(path string, argv []string) {
	if argv != nil && (len(argv) == 0 || argv[0] == "") {
		b.add(b.at(path), "", "want a program and its arguments")
	}
}

// variablesOf refuses what is no variable for a program.
func (b *builder) variablesOf(path string, given []string) {
	for i, text := range given {
		name, _, fixed := strings.Cut(text, "=")
		at := b.at(path + "." + strconv.Itoa(i))
		switch {
		case !isVariable(name):
			b.add(at, "", "found %s, want NAME or NAME=value", quote(maskLine(text)))
		case fixed:
		case b.variables[name]:
			b.add(at, "give NAME=value with one of no worth", "the variable %s holds a credential of this file, which the program would get", quote(name))
		case name == "CREDENTIALS_DIRECTORY":
			b.add(at, "", "the variable %s leads the program to the agent's credentials", quote(name))
		}
	}
}

func isVariable(name string) bool {
	other := func(c rune) bool {
		return c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9')
	}
	return name != "" && len(name) <= 100 && strings.IndexFunc(name, other) < 0 && (name[0] < '0' || name[0] > '9')
}

// loopback refuses an address that other hosts could reach.
func (b *builder) loopback(path, address string) {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.Atoi(port)
	ip := net.ParseIP(host)
	if err != nil || portErr != nil || number < 1 || number > 65535 || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		b.add(b.at(path), "", "found %s, want a loopback address: 127.0.0.1:9399", quote(maskLine(address)))
	}
}

// Address is where the chat route listens: host and port.
func (s *Staging) Address() (string, error) {
	u, err := url.Parse(s.AppURL)
	if err != nil || u.Host == "" {
		return "", errors.New("preflight.staging.app_url is no address")
	}
	if u.Port() != "" {
		return u.Host, nil
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443"), nil
	}
	return net.JoinHostPort(u.Hostname(), "80"), nil
}
