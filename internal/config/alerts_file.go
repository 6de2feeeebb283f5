package config

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/windsock-monitor/windsock/checks"
)

// The structs of file.go go on here, with what becomes of results: alerts, maintenance, heartbeat and incidents.

type alerting struct {
	Defaults bool   `yaml:"defaults" jsonschema:"default=true" jsonschema_description:"Whether the built-in rules count. Off, only those below do."`
	Rules    []rule `yaml:"rules" jsonschema_description:"Rules of your own, and changes to built-in ones by their name."`
}

func (*alerting) reserved() []string { return []string{"file", "groups", "templates"} }

// rule is a rule of its own, or what changes in the built-in one of its name. nil is not given.
type rule struct {
	Name          string            `yaml:"name" jsonschema:"required" jsonschema_description:"Unique name: letters, digits, - and _. That of a built-in rule: what is given here takes the place of its own."`
	Disable       bool              `yaml:"disable" jsonschema:"default=false" jsonschema_description:"The rule does not count."`
	Severity      string            `yaml:"severity" jsonschema:"enum=P1,enum=P2,enum=P3,enum=P4" jsonschema_description:"How bad it is: P1 15 minutes, P2 an hour, P3 four hours, P4 the next business day. Required for a rule of your own."`
	When          condition         `yaml:"when" jsonschema_description:"The condition. Required for a rule of your own."`
	Above         amount            `yaml:"above" jsonschema_description:"Another threshold for a built-in rule of one condition."`
	Below         amount            `yaml:"below" jsonschema_description:"As above, the other way."`
	Equals        amount            `yaml:"equals" jsonschema_description:"As above, exactly."`
	For           *time.Duration    `yaml:"for" jsonschema_description:"How long the condition must hold before the alert fires. Absent: it fires at once."`
	KeepFiringFor *time.Duration    `yaml:"keep_firing_for" jsonschema_description:"How long the alert fires on after the condition held last."`
	AbsentAfter   window            `yaml:"absent_after" jsonschema_description:"Without a sample for so long there is no data, which is told: a duration, or 3 intervals of the check's schedule."`
	GroupBy       *[]string         `yaml:"group_by" jsonschema_description:"Attributes by which there is one alert each. Absent: check, and for a gauge its own. Empty: one alert."`
	Labels        map[string]string `yaml:"labels" jsonschema_description:"Labels on the alert, for routing."`
	Runbook       *string           `yaml:"runbook" jsonschema_description:"What to do: the name of a page of docs/runbook, or of a built-in rule, whose page it has then, or a URL."`
	Summary       *string           `yaml:"summary" jsonschema_description:"One line: what is wrong. A template: {{seconds .Value}}, {{.Labels.check}}."`
	Impact        *string           `yaml:"impact" jsonschema_description:"One line: who feels it. A template."`
	Action        *string           `yaml:"action" jsonschema_description:"One line: what to do first. A template."`
	Escalate      *[]escalation     `yaml:"escalate" jsonschema_description:"When the alert is worse than severity says."`
	Inhibits      *inhibits         `yaml:"inhibits" jsonschema_description:"Which alerts this one explains: nobody is told of them while it fires."`
}

func (*rule) reserved() []string {
	return []string{"notify", "route", "annotations", "expr", "interval"}
}

type escalation struct {
	Severity string    `yaml:"severity" jsonschema:"required,enum=P1,enum=P2,enum=P3,enum=P4" jsonschema_description:"How bad it is then."`
	When     condition `yaml:"when" jsonschema:"required" jsonschema_description:"The condition, for the same group."`
}

type inhibits struct {
	Rules    []string `yaml:"rules" jsonschema:"required,minItems=1" jsonschema_description:"Names of rules."`
	Equal    []string `yaml:"equal" jsonschema_description:"Labels that both alerts must have alike, where both have them."`
	Severity string   `yaml:"severity" jsonschema:"enum=P1,enum=P2,enum=P3,enum=P4" jsonschema_description:"Only while this alert is so bad or worse. Absent: always."`
}

// condition keeps a condition for the builder to read: conditions stand within conditions.
type condition struct{ node ast.Node }

// conditionKeys is a condition as it is written.
type conditionKeys struct {
	All        []condition `yaml:"all" jsonschema_description:"All of these conditions hold."`
	Any        []condition `yaml:"any" jsonschema_description:"At least one of these conditions holds."`
	Metric     string      `yaml:"metric" jsonschema_description:"A name of docs/metrics.md, or one that a check measures: query.NAME."`
	Match      matchers    `yaml:"match" jsonschema_description:"Which samples count."`
	Aggregate  string      `yaml:"aggregate" jsonschema:"enum=last,enum=min,enum=max,enum=avg,enum=sum,enum=count,enum=rate,enum=p50,enum=p90,enum=p95,enum=p99,default=last" jsonschema_description:"What is made of the samples in the window."`
	Window     window      `yaml:"window" jsonschema_description:"How far to look back: 5 runs of the check, or a duration. Absent: the last run."`
	Above      amount      `yaml:"above" jsonschema_description:"Holds above this: a number in the metric's unit, a duration such as 5s, or 10%."`
	Below      amount      `yaml:"below" jsonschema_description:"Holds below this."`
	Equals     amount      `yaml:"equals" jsonschema_description:"Holds at exactly this."`
	Until      bool        `yaml:"until" jsonschema:"default=false" jsonschema_description:"The metric is a Unix time, and the time until then is compared."`
	MinSamples int         `yaml:"min_samples" jsonschema:"minimum=0,maximum=10000" jsonschema_description:"With fewer samples in the window the condition does not hold."`
	Share      *share      `yaml:"share" jsonschema_description:"For how many members of the group the condition holds. Absent: the samples of a group are taken together."`
}

func (*conditionKeys) reserved() []string { return []string{"expr", "not", "offset"} }

type share struct {
	Of      []string `yaml:"of" jsonschema:"required,minItems=1" jsonschema_description:"The attributes that tell members apart, as check."`
	AtLeast amount   `yaml:"at_least" jsonschema_description:"So many of the members that have samples enough: 50%. Absent: any one of them."`
}

// matchers keeps a selection: attributes to values, lists of values, "!value" or "~pattern".
type matchers struct{ node ast.Node }

// window keeps how far something looks back.
type window struct{ node ast.Node }

// amount keeps a number whose unit is that of a metric.
type amount struct{ node ast.Node }

type maintenance struct {
	Name     string        `yaml:"name" jsonschema:"required" jsonschema_description:"Unique name: letters, digits, - and _."`
	Schedule string        `yaml:"schedule" jsonschema:"required" jsonschema_description:"When it begins: a cron expression, as with checks."`
	Timezone string        `yaml:"timezone" jsonschema:"default=UTC" jsonschema_description:"Time zone of the cron expression, as Europe/Paris."`
	Duration time.Duration `yaml:"duration" jsonschema:"required" jsonschema_description:"How long it lasts: less than from one beginning to the next."`
	Checks   string        `yaml:"checks" jsonschema:"enum=run,enum=skip,default=run" jsonschema_description:"Run: checks are run, and nobody is told of alerts. Skip: they are not run either."`
	Match    matchers      `yaml:"match" jsonschema_description:"Which checks: by check, kind, provider and the labels of checks. Absent: all."`
	Reason   string        `yaml:"reason" jsonschema:"required,minLength=1" jsonschema_description:"Why, for people."`
}

func (*maintenance) reserved() []string { return []string{"until", "from", "rules"} }

func (m *maintenance) preset() { *m = maintenance{Timezone: "UTC", Checks: "run"} }

type heartbeat struct {
	URL   checks.Secret `yaml:"url" jsonschema:"required" jsonschema_description:"Address to GET while the agent is well, by reference: who knows it can silence the alarm."`
	Every time.Duration `yaml:"every" jsonschema:"default=1m" jsonschema_description:"How often."`
}

func (*heartbeat) reserved() []string { return []string{"method", "body", "headers"} }

type incidents struct {
	Schedule   string        `yaml:"schedule" jsonschema:"default=@every 30s" jsonschema_description:"Schedule of the checks concerned while an incident is open; the budget stays. off: they keep theirs."`
	CloseAfter time.Duration `yaml:"close_after" jsonschema:"default=5m" jsonschema_description:"An incident is over when the application's own path has been well for so long."`
	Timezone   string        `yaml:"timezone" jsonschema:"default=UTC" jsonschema_description:"Time zone of business days, as Europe/Paris."`
	RespondIn  respondIn     `yaml:"respond_in" jsonschema_description:"Time to respond by severity. P4 is the next business day."`
}

type respondIn struct {
	P1 time.Duration `yaml:"P1" jsonschema:"default=15m" jsonschema_description:"To the worst."`
	P2 time.Duration `yaml:"P2" jsonschema:"default=1h" jsonschema_description:"To what is bad."`
	P3 time.Duration `yaml:"P3" jsonschema:"default=4h" jsonschema_description:"To what can wait a little."`
}

func (*incidents) reserved() []string { return []string{"commander", "escalate"} }
