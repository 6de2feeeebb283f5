package manual

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// schema is as much of the JSON Schema of the configuration as a page tells, in the order of the file.
type schema struct {
	Ref         string            `json:"$ref"`
	Defs        map[string]schema `json:"$defs"`
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Properties  members           `json:"properties"`
	Items       *schema           `json:"items"`
	Values      values            `json:"additionalProperties"`
	Default     any               `json:"default"`
	Const       string            `json:"const"`
	Enum        []string          `json:"enum"`
	AllOf       []conditional     `json:"allOf"`
}

// conditional is what holds for the entries of one kind.
type conditional struct {
	If   schema `json:"if"`
	Then schema `json:"then"`
}

type member struct {
	name string
	schema
}

// members keeps properties in their order.
type members []member

// UnmarshalJSON reads an object of schemas.
func (m *members) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		entry := member{name: fmt.Sprint(name)}
		if err := d.Decode(&entry.schema); err != nil {
			return err
		}
		*m = append(*m, entry)
	}
	return nil
}

// values is the schema of what a mapping holds, or nil where the schema says only whether it may hold more.
type values struct{ of *schema }

// UnmarshalJSON reads a schema or a truth value.
func (v *values) UnmarshalJSON(text []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return nil
	}
	v.of = &schema{}
	return json.Unmarshal(text, v.of)
}

func (m members) named(name string) *schema {
	for i := range m {
		if m[i].name == name {
			return &m[i].schema
		}
	}
	return &schema{}
}

// Configuration is the page of section 5, of the schema of the configuration, which is JSON.
func (b Book) Configuration(text []byte) (string, error) {
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		return "", fmt.Errorf("the schema: %w", err)
	}
	p := b.begin("schedules.yaml", "5")
	p.name("schedules.yaml", "configuration of the Windsock monitoring agent")
	p.section("DESCRIPTION")
	p.text(`What is probed, when, what it may cost, and where results go. The file is looked for in the current folder, then at
/etc/windsock/schedules.yaml. It is YAML, read strictly: an unknown key is an error. Text is text, times have units (5s, 10m, 24h, 7d), nothing is
expanded, and credentials are given by reference, never by value.

The default, with every key and a line about each, is /usr/share/windsock/schedules.yaml. Its schema is
/usr/share/windsock/schedules.schema.json; windsock-validate(1) knows more than the schema.`)
	p.section("KEYS")
	p.keys("", s.Properties, 0)
	p.section("CREDENTIALS")
	p.text(`A reference is one of these, or a list of them, of which the first that is present wins.`)
	for _, row := range [][2]string{
		{"credential: NAME", "A credential of systemd."},
		{"file: PATH", "A file of root or of the agent's user, mode 0600, or 0640 with the agent's group. It is read again when it changes."},
		{"env: NAME", "A variable; every program of the same user can read it."},
		{"command: [PROGRAM, ARGUMENT, ...]", "What a program prints; no shell."},
		{"secret: NAME", "An entry of secrets. It stands alone."},
	} {
		p.entry(row[0], "", row[1])
	}
	p.kinds("CHECKS", "with", s.Properties.named("checks"))
	p.kinds("EXPORTERS", "with", s.Properties.named("exporters"))
	p.section("SEE ALSO")
	p.WriteString(".BR windsock (1),\n.BR windsock\\-validate (1)\n")
	return p.String(), nil
}

// kinds tells the parameters of each kind of check or exporter.
func (p *page) kinds(title, key string, list *schema) {
	if list.Items == nil {
		return
	}
	p.section(title)
	for _, rule := range list.Items.AllOf {
		kind := rule.If.Properties.named("kind").Const
		if kind == "" {
			continue
		}
		p.subsection("kind: " + kind)
		parameters := rule.Then.Properties.named(key)
		if len(parameters.Properties) == 0 {
			p.text("No parameters.")
		}
		p.keys(key+".", parameters.Properties, 0)
	}
}

// keys tells each key, and the keys below it by their path: providers.NAME.base_url, checks[].name.
func (p *page) keys(prefix string, keys members, depth int) {
	for _, key := range keys {
		path := prefix + key.name
		p.entry(path, key.form(), key.Description)
		if depth > 6 {
			continue
		}
		below, inner := &key.schema, path+"."
		switch {
		case key.Items != nil:
			below, inner = key.Items, path+"[]."
		case key.Values.of != nil:
			below, inner = key.Values.of, path+".NAME."
		}
		p.keys(inner, below.Properties, depth+1)
	}
}

// form is what a value looks like, and what stands for an absent one.
func (s *schema) form() string {
	var words []string
	switch {
	case s.Ref != "":
		words = append(words, strings.TrimPrefix(s.Ref, "#/$defs/"))
	case len(s.Enum) > 0:
		words = append(words, strings.Join(s.Enum, " | "))
	case s.Type == "object":
		words = append(words, "mapping")
	case s.Type == "array":
		words = append(words, "list")
	case s.Type != "":
		words = append(words, s.Type)
	}
	switch value := s.Default.(type) {
	case nil, map[string]any, []any:
	case string:
		if value != "" {
			words = append(words, "default "+value)
		}
	default:
		words = append(words, fmt.Sprint("default ", value))
	}
	if len(words) == 0 {
		return ""
	}
	return "(" + strings.Join(words, ", ") + ")"
}
