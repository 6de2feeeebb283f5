package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	checkkinds "github.com/windsock-monitor/windsock/checks/all"
	exporterkinds "github.com/windsock-monitor/windsock/exporters/all"
	"github.com/windsock-monitor/windsock/internal/config"
)

func shipped() config.Registry {
	return config.Registry{Checks: checkkinds.Kinds(), Exporters: exporterkinds.Kinds()}
}

func compile(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// instance reads YAML as the schema sees it.
func instance(t *testing.T, data []byte) any {
	t.Helper()
	text, err := yaml.YAMLToJSON(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestGeneratedFilesAreFresh(t *testing.T) {
	root := filepath.Join("..", "..")
	schema, err := config.Schema(shipped())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, filepath.Join(root, "schedules.schema.json")), schema) {
		t.Error("schedules.schema.json is stale: go generate ./internal/config")
	}
	page := read(t, filepath.Join(root, "docs", "configuration.md"))
	if fresh, err := config.WithReference(page, shipped()); err != nil || !bytes.Equal(page, fresh) {
		t.Errorf("docs/configuration.md is stale (%v): go generate ./internal/config", err)
	}
}

func TestShippedFile(t *testing.T) {
	path := filepath.Join("..", "..", "schedules.yaml")
	data := read(t, path)
	cfg, err := config.Parse(path, data, config.Options{Registry: shipped()})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) != 0 {
		t.Errorf("got warnings %v", cfg.Warnings)
	}
	if err := compile(t, read(t, filepath.Join("..", "..", "schedules.schema.json"))).Validate(instance(t, data)); err != nil {
		t.Errorf("the schema refuses it: %v", err)
	}
	var kinds []string
	for _, c := range cfg.Checks {
		kinds = append(kinds, c.Kind)
	}
	if !slices.Equal(kinds, []string{"models", "chat", "embeddings", "usable", "credentials", "egress", "status_page"}) || !cfg.Budget.Set || cfg.Listen == "" {
		t.Errorf("got %v, budget %v, listen %q", kinds, cfg.Budget, cfg.Listen)
	}
}

// Every key that exists stands in the shipped file, as itself or as a comment.
func TestShippedFileShowsEveryKey(t *testing.T) {
	text := string(read(t, filepath.Join("..", "..", "schedules.yaml")))
	page := string(read(t, filepath.Join("..", "..", "docs", "configuration.md")))
	_, reference, _ := strings.Cut(page, "<!-- reference: begin")
	section := ""
	for line := range strings.Lines(reference) {
		if title, ok := strings.CutPrefix(line, "### "); ok {
			section = title
		}
		key, ok := strings.CutPrefix(line, "| `")
		own := strings.Contains(section, "exporter kind `") && !strings.Contains(section, "`stdout`") && !strings.Contains(section, "`prometheus`")
		if !ok || own {
			continue // those pages have their own
		}
		key, _, _ = strings.Cut(key, "`")
		last := key[strings.LastIndexByte(key, '.')+1:]
		if !strings.Contains(text, last+":") && !strings.Contains(text, last+",") && !strings.Contains(text, last+"\n") {
			t.Errorf("%s%s is not in schedules.yaml", section, key)
		}
	}
}

// The commented lines that are "one line to uncomment" work when that is done.
func TestShippedFileWithTheExportersUncommented(t *testing.T) {
	text := string(read(t, filepath.Join("..", "..", "schedules.yaml")))
	for _, line := range []string{"# - {name: collector", "# - {name: datadog"} {
		if !strings.Contains(text, line) {
			t.Fatalf("no line %q", line)
		}
		text = strings.Replace(text, line, strings.TrimPrefix(line, "# "), 1)
	}
	cfg, err := config.Parse("schedules.yaml", []byte(text), config.Options{Registry: shipped()})
	if err != nil || len(cfg.Exporters) != 4 {
		t.Errorf("got %v", err)
	}
}

// The checks that need something of the operator stand there as comments, and work when the comment is taken away.
func TestShippedFileWithTheChecksUncommented(t *testing.T) {
	text := string(read(t, filepath.Join("..", "..", "schedules.yaml")))
	live, err := config.Parse("schedules.yaml", []byte(text), config.Options{Registry: shipped()})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"plugin", "traffic", "app"}
	for _, name := range names {
		_, block, found := strings.Cut(text, "  # - name: "+name+"\n")
		if !found {
			t.Fatalf("no commented check %q", name)
		}
		block, _, _ = strings.Cut("  # - name: "+name+"\n"+block, "\n\n")
		text = strings.Replace(text, block, strings.ReplaceAll("\n"+block, "\n  # ", "\n  "), 1)
	}
	cfg, err := config.Parse("schedules.yaml", []byte(text), config.Options{Registry: shipped()})
	if err != nil || len(cfg.Checks) != len(live.Checks)+len(names) {
		t.Errorf("got %v", err)
	}
	if err := compile(t, read(t, filepath.Join("..", "..", "schedules.schema.json"))).Validate(instance(t, []byte(text))); err != nil {
		t.Errorf("the schema refuses it: %v", err)
	}
}

func TestSchemaTakesGoodFiles(t *testing.T) {
	text, err := config.Schema(registry())
	if err != nil {
		t.Fatal(err)
	}
	schema := compile(t, text)
	for _, path := range files(t, "good") {
		if strings.HasSuffix(path, "empty_sections.yaml") {
			continue // a section with nothing in it is a null to the schema
		}
		if err := schema.Validate(instance(t, read(t, path))); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The schema refuses what types, names of keys and enums tell; what it cannot know is listed here.
func TestSchemaRefusesBrokenFiles(t *testing.T) {
	text, err := config.Schema(registry())
	if err != nil {
		t.Fatal(err)
	}
	schema := compile(t, text)
	beyond := map[string]bool{ // relations, YAML's own rules, and the kinds' rules
		"duplicate_name": true, "bad_cron": true, "timeout_not_below_interval": true, "unknown_provider": true, "no_provider": true,
		"yaml_bomb": true, "merge_key": true, "tag": true, "two_documents": true, "listen_address": true, "base_url": true,
		"complex_key": true, "terminal_escape": true, "money_empty": true, "money_too_fine": true, "directive": true,
		"prices_too_fine": true, "alert_labels": true,
	}
	for _, path := range files(t, "bad") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.YAMLToJSON(data)
		if beyond[name] || strings.HasPrefix(name, "prices_file_") || err != nil { // another file has no schema
			continue
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			continue
		}
		if schema.Validate(doc) == nil {
			t.Errorf("%s: taken by the schema", name)
		}
	}
}
