package config

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks"
)

// The structs below are the file as it is written: they make the decoder's rules, the JSON Schema and the reference in
// docs/configuration.md. Keys that may be absent with a meaning are pointers.

type file struct {
	Location    string                   `yaml:"location" jsonschema:"maxLength=100" jsonschema_description:"Where this agent stands; a label on everything."`
	Labels      map[string]string        `yaml:"labels" jsonschema_description:"Labels on every result: env becomes deployment.environment.name, service becomes service.name."`
	StateDir    string                   `yaml:"state_dir" jsonschema_description:"Folder of the store. Default: $STATE_DIRECTORY, else that of the installed agent for a file in /etc/windsock, else $XDG_STATE_HOME/windsock, else ~/.local/state/windsock."`
	Listen      *string                  `yaml:"listen" jsonschema:"default=127.0.0.1:9188" jsonschema_description:"Address of the agent's own pages: health, metrics, API. Empty is off."`
	Grace       time.Duration            `yaml:"grace" jsonschema:"default=10s" jsonschema_description:"How long the last results may take to be delivered when the agent stops. What is left stays in the store."`
	Providers   providers                `yaml:"providers" jsonschema_description:"APIs that are monitored, by name."`
	Checks      []check                  `yaml:"checks" jsonschema:"required,minItems=1" jsonschema_description:"What is probed, and when."`
	Exporters   []exporter               `yaml:"exporters" jsonschema_description:"Where results go."`
	Secrets     map[string]checks.Secret `yaml:"secrets" jsonschema_description:"Credentials by name, for {secret: name}."`
	Budget      *budget                  `yaml:"budget" jsonschema_description:"The most that the probes may cost, in US dollars: a hard stop. Absent: no bound."`
	Prices      prices                   `yaml:"prices" jsonschema_description:"What models cost where the built-in prices are not yours, or do not have them."`
	Plugins     plugins                  `yaml:"plugins" jsonschema_description:"Third-party checks and exporters, by name: programs that the agent starts, pinned in plugins.lock beside this file."`
	Programs    programs                 `yaml:"programs" jsonschema_description:"Which programs exec checks may run. Absent: none."`
	Network     network                  `yaml:"network" jsonschema_description:"The way out, for checks and exporters."`
	Alerts      alerting                 `yaml:"alerts" jsonschema_description:"When people are told. Absent: the built-in rules."`
	Maintenance []maintenance            `yaml:"maintenance" jsonschema_description:"Windows in which nobody is told of alerts, or checks are not run."`
	Heartbeat   *heartbeat               `yaml:"heartbeat" jsonschema_description:"A dead man's switch: who hears no more of the agent raises the alarm. Absent: off."`
	Incidents   incidents                `yaml:"incidents" jsonschema_description:"How incidents are answered."`
	Runbook     runbookOf                `yaml:"runbook" jsonschema_description:"What the verbs of the runbook fill in: triage, preflight, gate, incident and drill."`
	Preflight   preflightOf              `yaml:"preflight" jsonschema_description:"What windsock preflight looks at before a deployment."`
	Store       store                    `yaml:"store" jsonschema_description:"How much is kept on disk."`
	Log         logging                  `yaml:"log" jsonschema_description:"The agent's own log, on standard error."`
	Concurrency concurrency              `yaml:"concurrency" jsonschema_description:"How many runs at the same time."`
}

func (*file) reserved() []string {
	return []string{
		"incident", "incident_schedule", "control", "web", "tls", "cluster", "runbooks", "notifications",
	}
}

// providers keeps the order of the file.
type providers struct{ node ast.Node }

type provider struct {
	BaseURL          string        `yaml:"base_url" jsonschema:"default=https://api.mistral.ai" jsonschema_description:"Address of the API, without /v1. Any compatible server works."`
	APIKey           checks.Secret `yaml:"api_key" jsonschema_description:"The key, by reference. Absent: requests carry none."`
	FallbackAPIKey   checks.Secret `yaml:"fallback_api_key" jsonschema_description:"A second key, by reference. When the first is refused it tells whether the key or the service is at fault; nothing else, unless failover says so."`
	Failover         bool          `yaml:"failover" jsonschema:"default=false" jsonschema_description:"Make the calls themselves with the fallback key while the first is refused."`
	ReuseConnections bool          `yaml:"reuse_connections" jsonschema:"default=false" jsonschema_description:"Keep connections between runs. Off, every run sees DNS, connect and TLS."`
	StallAfter       time.Duration `yaml:"stall_after" jsonschema:"default=10s" jsonschema_description:"Longest silence within a stream before it counts as stalled."`
	Breaker          breaker       `yaml:"breaker" jsonschema_description:"When to stop paying for calls to a provider that is down."`
	Headroom         headroom      `yaml:"headroom" jsonschema_description:"When to leave what remains of the rate limits to the application."`
}

func (*provider) reserved() []string {
	return []string{"prices", "organization", "network", "ca_file", "headers", "timeout"}
}

func (p *provider) preset() {
	*p = provider{BaseURL: "https://api.mistral.ai", StallAfter: 10 * time.Second, Breaker: breaker{Failures: 5, Reset: time.Minute}, Headroom: headroom{PauseBelow: 10}}
}

type headroom struct {
	PauseBelow float64 `yaml:"pause_below" jsonschema:"default=10,minimum=0,maximum=100" jsonschema_description:"Paid checks pause while less than so many per cent of a rate limit remain. 0 is off."`
}

type breaker struct {
	Failures int           `yaml:"failures" jsonschema:"default=5,minimum=1,maximum=1000" jsonschema_description:"Failures in a row that open it: 5xx, 429, timeouts, network. 400, 401 and 403 do not count."`
	Reset    time.Duration `yaml:"reset" jsonschema:"default=60s" jsonschema_description:"How long it stays open before one call may try, at least twice the shortest interval of the paid checks."`
}

type check struct {
	Name          string            `yaml:"name" jsonschema:"required" jsonschema_description:"Unique name: letters, digits, - and _."`
	Kind          string            `yaml:"kind" jsonschema:"required" jsonschema_description:"What sort of check it is."`
	Provider      string            `yaml:"provider" jsonschema_description:"Name of the provider. May be left out when there is one. Checks whose target is not a provider (app, exec, prometheus, status_page) belong to none unless it is given."`
	Schedule      string            `yaml:"schedule" jsonschema:"required" jsonschema_description:"@every 60s, or a cron expression of five fields, or six with seconds first."`
	Timezone      string            `yaml:"timezone" jsonschema:"default=UTC" jsonschema_description:"Time zone of a cron expression, as Europe/Paris."`
	Timeout       *time.Duration    `yaml:"timeout" jsonschema_description:"Bound on one run, below the interval. Default: 30s, or four fifths of the interval where that is less."`
	DegradedAbove *time.Duration    `yaml:"degraded_above" jsonschema:"default=5s" jsonschema_description:"A good run that takes longer is degraded. 0s is off."`
	RunAtStart    bool              `yaml:"run_at_start" jsonschema:"default=false" jsonschema_description:"Run once when the agent starts, beside the schedule."`
	Overlap       string            `yaml:"overlap" jsonschema:"enum=skip,enum=queue,default=skip" jsonschema_description:"What becomes of a run whose predecessor still goes: skip it, or let at most one wait."`
	Missed        string            `yaml:"missed" jsonschema:"enum=skip,enum=run_once,default=skip" jsonschema_description:"What becomes of runs missed while the agent was down: skip them, or run the newest."`
	Confirm       time.Duration     `yaml:"confirm" jsonschema_description:"Run again after this time before a failure counts. Absent: it counts at once."`
	Incident      *string           `yaml:"incident_schedule" jsonschema_description:"In place of incidents.schedule for this check; off keeps its own."`
	Labels        map[string]string `yaml:"labels" jsonschema_description:"Labels on this check's results."`
	With          section           `yaml:"with" jsonschema_description:"Parameters of the kind."`
}

func (*check) reserved() []string {
	return []string{"maintenance", "alerts", "spread", "severity", "runbook", "heartbeat", "locations"}
}

func (c *check) preset() { *c = check{Overlap: "skip", Missed: "skip"} }

type exporter struct {
	Name      string        `yaml:"name" jsonschema:"required" jsonschema_description:"Unique name: letters, digits, - and _. It keeps its place in the store by this name."`
	Kind      string        `yaml:"kind" jsonschema:"required" jsonschema_description:"What sort of exporter it is."`
	MaxAge    time.Duration `yaml:"max_age" jsonschema:"default=24h" jsonschema_description:"Records that could not be delivered for this long are given up, and counted."`
	Replay    bool          `yaml:"replay" jsonschema:"default=false" jsonschema_description:"A new exporter begins with the oldest record of the store, not with the next."`
	BatchSize int           `yaml:"batch_size" jsonschema:"default=200,minimum=1,maximum=10000" jsonschema_description:"Most records in one delivery."`
	Timeout   time.Duration `yaml:"timeout" jsonschema:"default=30s" jsonschema_description:"Bound on one delivery."`
	With      section       `yaml:"with" jsonschema_description:"Parameters of the kind."`
}

func (*exporter) reserved() []string { return []string{"match", "filter", "alerts", "retry", "queue"} }

func (e *exporter) preset() {
	*e = exporter{MaxAge: 24 * time.Hour, BatchSize: 200, Timeout: 30 * time.Second}
}

type budget struct {
	PerHour  *checks.PicoUSD `yaml:"per_hour" jsonschema_description:"US dollars in any hour. Absent: as per_day, or as per_month."`
	PerDay   *checks.PicoUSD `yaml:"per_day" jsonschema_description:"US dollars in any 24 hours. Absent: 24 times per_hour, or as per_month."`
	PerMonth *checks.PicoUSD `yaml:"per_month" jsonschema_description:"US dollars in any 30 days. Absent: only the shorter windows bound it."`
}

func (*budget) reserved() []string { return []string{"per_week", "currency"} }

type prices struct {
	MaxAge time.Duration `yaml:"max_age" jsonschema:"default=2160h" jsonschema_description:"Older prices, built-in or own, are warned of. 0 is off."`
	File   string        `yaml:"file" jsonschema_description:"YAML file with more of them, below a key models as here. Relative: below this file's folder. It is read again at each reload."`
	Models []price       `yaml:"models" jsonschema_description:"Prices by model. They take the place of all built-in ones of that model."`
}

// priceFile is the file that prices.file names.
type priceFile struct {
	Models []price `yaml:"models" jsonschema:"required"`
}

type price struct {
	Model     string          `yaml:"model" jsonschema:"required" jsonschema_description:"The id, or an alias that shall not be followed."`
	Input     *checks.PicoUSD `yaml:"input_per_million" jsonschema_description:"US dollars for a million prompt tokens."`
	Cached    *checks.PicoUSD `yaml:"cached_per_million" jsonschema_description:"US dollars for a million prompt tokens from the cache. Absent: a tenth of the input."`
	Output    *checks.PicoUSD `yaml:"output_per_million" jsonschema_description:"US dollars for a million completion tokens."`
	Pages     *checks.PicoUSD `yaml:"pages_per_thousand" jsonschema_description:"US dollars for a thousand pages."`
	Annotated *checks.PicoUSD `yaml:"annotated_pages_per_thousand" jsonschema_description:"US dollars for a thousand pages that are annotated too, in place of pages_per_thousand."`
	Minute    *checks.PicoUSD `yaml:"minute" jsonschema_description:"US dollars for a minute of audio."`
	Speech    *checks.PicoUSD `yaml:"characters_per_million" jsonschema_description:"US dollars for a million characters of speech."`
	Batch     int             `yaml:"batch_percent" jsonschema:"default=50,minimum=1,maximum=100" jsonschema_description:"Per cent of the price at the batch tier."`
	Free      bool            `yaml:"free" jsonschema:"default=false" jsonschema_description:"The model costs nothing."`
	From      string          `yaml:"from" jsonschema:"pattern=^[0-9]+-[0-9]+-[0-9]+$" jsonschema_description:"Since when it counts, as 2026-12-01. Absent: always."`
	Source    string          `yaml:"source" jsonschema_description:"Where the price is from, for people."`
	CheckedOn string          `yaml:"checked_on" jsonschema:"pattern=^[0-9]+-[0-9]+-[0-9]+$" jsonschema_description:"When it was looked up, as 2026-11-01."`
}

func (p *price) preset() { *p = price{Batch: 50} }

type network struct {
	HTTPProxy      *string  `yaml:"http_proxy" jsonschema_description:"Proxy for http:// addresses. Absent: $HTTP_PROXY. Empty: none."`
	HTTPSProxy     *string  `yaml:"https_proxy" jsonschema_description:"Proxy for https:// addresses. Absent: $HTTPS_PROXY. Empty: none."`
	NoProxy        *string  `yaml:"no_proxy" jsonschema_description:"Hosts, domains and networks that are reached directly, with commas. Absent: $NO_PROXY."`
	CAFile         string   `yaml:"ca_file" jsonschema_description:"PEM file of authorities to trust beside the system's."`
	AllowAddresses []string `yaml:"allow_addresses" jsonschema_description:"Addresses and networks that may be reached although they are link-local or a cloud's metadata service."`
}

type programs struct {
	Directories []string `yaml:"directories" jsonschema_description:"Folders whose programs may run, and those of the folders below. Nobody but root and the agent's user may be able to write them and what is above them."`
	Env         []string `yaml:"env" jsonschema_description:"Names of environment variables of the agent that every program gets, beside PATH and LANG. Never one that holds a credential."`
	Read        []string `yaml:"read" jsonschema_description:"Files and folders that programs may read and execute, beside the system's and those of directories. What is not there is left out."`
	Write       []string `yaml:"write" jsonschema_description:"Files and folders that programs may read and change."`
}

type store struct {
	MaxAge  time.Duration `yaml:"max_age" jsonschema:"default=168h" jsonschema_description:"Records older than this are dropped."`
	MaxSize size          `yaml:"max_size" jsonschema:"default=512MiB" jsonschema_description:"Above this size the oldest records are dropped, and counted."`
}

type logging struct {
	Level  string `yaml:"level" jsonschema:"enum=debug,enum=info,enum=warn,enum=error,default=info" jsonschema_description:"The least that is logged."`
	Format string `yaml:"format" jsonschema:"enum=auto,enum=text,enum=json,default=auto" jsonschema_description:"text is for people, json for machines; auto is text, or the journal's own protocol, with fields, where systemd has connected standard error to the journal."`
}

type concurrency struct {
	Global  int `yaml:"global" jsonschema:"default=64,minimum=1,maximum=10000" jsonschema_description:"Runs at the same time."`
	PerHost int `yaml:"per_host" jsonschema:"default=16,minimum=1,maximum=10000" jsonschema_description:"Runs at the same time against one provider's host."`
}

func defaults() file {
	return file{
		Grace: 10 * time.Second, Prices: prices{MaxAge: 90 * 24 * time.Hour}, Store: store{MaxAge: 7 * 24 * time.Hour, MaxSize: 512 << 20},
		Alerts:    alerting{Defaults: true},
		Incidents: incidents{Schedule: "@every 30s", CloseAfter: 5 * time.Minute, Timezone: "UTC", RespondIn: respondIn{15 * time.Minute, time.Hour, 4 * time.Hour}},
		Preflight: presetPreflight(),
		Log:       logging{Level: "info", Format: LogAuto}, Concurrency: concurrency{Global: 64, PerHost: 16},
	}
}

// DefaultListen is `listen` where the file does not say.
const DefaultListen = "127.0.0.1:9188"

// The values of absent keys whose absence is told from their zero.
const (
	defaultTimeout  = 30 * time.Second
	defaultDegraded = 5 * time.Second
)
