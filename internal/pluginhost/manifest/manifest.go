// Package manifest is what a plugin says of itself, and the file plugins.lock, which keeps it so that a configuration can be
// checked without running the plugin. It runs nothing and believes nothing: whatever a plugin says is checked here.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/exporters"
	pluginv1 "github.com/windsock-monitor/windsock/plugins/proto/windsock/plugin/v1"
)

// Protocol is the version of the protocol that this package knows.
const Protocol = 1

// The bounds of a manifest.
const (
	MaxKinds        = 64
	MaxSchema       = 256 << 10 // bytes
	MaxDoc          = 64 << 10
	MaxMeasurements = 200
	maxLine         = 300
	maxName         = 64
)

// Type is what a kind extends.
type Type string

// The types.
const (
	Check    Type = "check"
	Exporter Type = "exporter"
)

// Manifest is what a plugin says of itself.
type Manifest struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Protocol    int    `json:"protocol"`
	Summary     string `json:"summary,omitempty"`
	Homepage    string `json:"homepage,omitempty"`
	SDK         string `json:"sdk,omitempty"` // "windsock-go 1.0.0"
	Concurrent  bool   `json:"concurrent,omitempty"`
	Reconfigure bool   `json:"reconfigure,omitempty"`
	Kinds       []Kind `json:"kinds"` // in the order of their names
}

// Kind is a type of check or exporter of a plugin.
type Kind struct {
	Name           string          `json:"name"` // without the plugin's
	Type           Type            `json:"type"`
	Doc            string          `json:"doc,omitempty"` // Markdown
	Schema         json.RawMessage `json:"schema"`
	MinInterval    Duration        `json:"min_interval,omitempty"`    // 0: any
	DefaultTimeout Duration        `json:"default_timeout,omitempty"` // 0: the agent's
	Measurements   []Measurement   `json:"measurements,omitempty"`
	MaxCost        checks.PicoUSD  `json:"max_cost_pico_usd,omitempty"` // of one run; 0: runs cost nothing
	MaxBatch       int             `json:"max_batch,omitempty"`         // exporters: 0 is no bound
	Records        []string        `json:"records,omitempty"`           // exporters: types of record that are wanted; none: all
	Refresh        bool            `json:"refresh,omitempty"`           // exporters: whether Refresh is called
}

// Measurement is one that results may hold.
type Measurement struct {
	Name        string `json:"name"`
	Unit        string `json:"unit,omitempty"`
	Description string `json:"description,omitempty"`
}

// Duration is written as people do: "1m30s".
type Duration time.Duration

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads one.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Kind finds a kind by its name.
func (m Manifest) Kind(name string) (Kind, bool) {
	i := slices.IndexFunc(m.Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return m.Kinds[i], true
}

// Names are those of the kinds, sorted.
func (m Manifest) Names() []string {
	names := make([]string, 0, len(m.Kinds))
	for _, k := range m.Kinds {
		names = append(names, k.Name)
	}
	return names
}

// FromWire reads what Describe answered. The error says all that is wrong with it.
func FromWire(d *pluginv1.DescribeResponse) (Manifest, error) {
	m := Manifest{
		Name: d.GetName(), Version: d.GetVersion(), Protocol: Protocol, Summary: d.GetSummary(), Homepage: d.GetHomepage(),
		SDK:        strings.TrimSpace(d.GetSdk().GetName() + " " + d.GetSdk().GetVersion()),
		Concurrent: d.GetCapabilities().GetConcurrent(), Reconfigure: d.GetCapabilities().GetReconfigure(),
	}
	var errs []error
	for _, kind := range d.GetKinds() {
		k, known, err := kindFromWire(kind)
		errs = append(errs, err)
		if known {
			m.Kinds = append(m.Kinds, k)
		}
	}
	slices.SortFunc(m.Kinds, func(a, b Kind) int { return strings.Compare(a.Name, b.Name) })
	return m, errors.Join(append(errs, m.Check())...)
}

// kindFromWire reads one kind. One of a type from the future is left out.
func kindFromWire(w *pluginv1.Kind) (k Kind, known bool, err error) {
	k = Kind{
		Name: w.GetName(), Doc: w.GetDocMarkdown(), Schema: compact(w.GetConfigSchemaJson()), MaxCost: checks.PicoUSD(w.GetMaxCostPicoUsd()),
		MaxBatch: int(w.GetExporterLimits().GetMaxBatch()), Refresh: w.GetExporterLimits().GetRefresh(),
	}
	switch w.GetType() {
	case pluginv1.KindType_KIND_TYPE_CHECK:
		k.Type = Check
	case pluginv1.KindType_KIND_TYPE_EXPORTER:
		k.Type = Exporter
	case pluginv1.KindType_KIND_TYPE_UNSPECIFIED:
		return Kind{}, false, nil
	default:
		return Kind{}, false, nil
	}
	for _, t := range w.GetExporterLimits().GetRecordTypes() {
		if name, ok := recordType(t); ok && !slices.Contains(k.Records, name) {
			k.Records = append(k.Records, name)
		}
	}
	for _, spec := range w.GetMeasurements() {
		k.Measurements = append(k.Measurements, Measurement{spec.GetName(), spec.GetUnit(), spec.GetDescription()})
	}
	k.MinInterval, err = duration("min_interval", w.GetMinInterval())
	if err != nil {
		return k, true, fmt.Errorf("kind %q: %w", k.Name, err)
	}
	k.DefaultTimeout, err = duration("default_timeout", w.GetDefaultTimeout())
	if err != nil {
		return k, true, fmt.Errorf("kind %q: %w", k.Name, err)
	}
	return k, true, nil
}

func recordType(t pluginv1.RecordType) (string, bool) {
	switch t {
	case pluginv1.RecordType_RECORD_TYPE_REPORT:
		return string(checks.TypeReport), true
	case pluginv1.RecordType_RECORD_TYPE_ALERT:
		return string(checks.TypeAlert), true
	case pluginv1.RecordType_RECORD_TYPE_AGENT:
		return string(checks.TypeAgent), true
	case pluginv1.RecordType_RECORD_TYPE_UNSPECIFIED:
	}
	return "", false
}

func duration(what string, d *durationpb.Duration) (Duration, error) {
	if d == nil {
		return 0, nil
	}
	if err := d.CheckValid(); err != nil || d.AsDuration() < 0 {
		return 0, fmt.Errorf("its %s is not a duration of at least 0", what)
	}
	return Duration(d.AsDuration()), nil
}

// compact is the schema without white space; what is no JSON stays for Check to find.
func compact(schema []byte) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, schema) != nil {
		return schema
	}
	return b.Bytes()
}

// Check says all that is wrong with a manifest, of a plugin or of a file.
func (m Manifest) Check() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !IsName(m.Name) {
		say("its name is %q, want %s", cut(m.Name), wantName)
	}
	if !regexp.MustCompile(semver).MatchString(m.Version) {
		say("its version is %q, want one of semantic versioning, as 1.4.0", cut(m.Version))
	}
	if m.Protocol != Protocol {
		say("it speaks protocol %d, and this agent speaks %d", m.Protocol, Protocol)
	}
	if !isLine(m.Summary) {
		say("its summary is not one line of at most %d bytes", maxLine)
	}
	if u, err := url.Parse(m.Homepage); m.Homepage != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || !isLine(m.Homepage)) {
		say("its homepage is not an http(s) address")
	}
	if !isLine(m.SDK) {
		say("the name of its library is not one line")
	}
	return errors.Join(append(errs, m.checkKinds())...)
}

func (m Manifest) checkKinds() error {
	var errs []error
	if len(m.Kinds) == 0 || len(m.Kinds) > MaxKinds {
		errs = append(errs, fmt.Errorf("it has %d kinds, want 1 to %d", len(m.Kinds), MaxKinds))
	}
	seen := map[string]bool{}
	for _, k := range m.Kinds {
		if seen[k.Name] {
			errs = append(errs, fmt.Errorf("it has two kinds called %q", cut(k.Name)))
		}
		seen[k.Name] = true
		if err := k.check(); err != nil {
			errs = append(errs, fmt.Errorf("kind %q: %w", cut(k.Name), err))
		}
	}
	return errors.Join(errs...)
}

func (k Kind) check() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !IsName(k.Name) {
		say("want a name of %s", wantName)
	}
	if k.Type != Check && k.Type != Exporter {
		say("its type is %q, want %s or %s", cut(string(k.Type)), Check, Exporter)
	}
	if len(k.Doc) > MaxDoc || !utf8.ValidString(k.Doc) {
		say("its documentation is longer than %d bytes, or not UTF-8", MaxDoc)
	}
	if _, err := k.Compile(); err != nil {
		errs = append(errs, err)
	}
	if k.MinInterval < 0 || k.DefaultTimeout < 0 || k.MaxCost < 0 || k.MaxBatch < 0 {
		say("a bound of it is below 0")
	}
	if len(k.Measurements) > MaxMeasurements {
		say("it announces %d measurements, want at most %d", len(k.Measurements), MaxMeasurements)
	}
	seen := map[string]bool{}
	for _, one := range k.Measurements {
		switch {
		case !regexp.MustCompile(`^[a-z][a-z0-9_.]{0,127}$`).MatchString(one.Name):
			say("it announces the measurement %q, want a lower-case dotted name", cut(one.Name))
		case len(one.Unit) > 32 || !isLine(one.Unit) || !isLine(one.Description):
			say("the unit or description of its measurement %q is not one line", one.Name)
		case exporters.Reserved(one.Name):
			say("it announces the measurement %q, which is a name of the agent's own", one.Name)
		case seen[one.Name]:
			say("it announces the measurement %q twice", one.Name)
		}
		seen[one.Name] = true
	}
	return errors.Join(errs...)
}

const (
	wantName = "lower-case letters, digits, - and _, beginning with a letter, at most 64"
	semver   = `^(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})(-[0-9A-Za-z.-]{1,64})?(\+[0-9A-Za-z.-]{1,64})?$`
)

// IsName reports whether a text can be the name of a plugin or of a kind.
func IsName(name string) bool {
	return len(name) <= maxName && regexp.MustCompile(`^[a-z][a-z0-9_-]*$`).MatchString(name)
}

func isLine(text string) bool {
	return len(text) <= maxLine && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// cut is a text from outside, short enough for a message.
func cut(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
