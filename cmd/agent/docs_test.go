package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTheExamplesOfThePagesAreValid: what people copy from docs/alerts.md and the runbook is what `windsock validate` takes, beside
// checks that have what the rules read.
func TestTheExamplesOfThePagesAreValid(t *testing.T) {
	var blocks [][]string
	for _, name := range []string{"alerts.md", "runbook/README.md", "runbook/escalation.md"} {
		page, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)...)
	}
	if len(blocks) < 7 {
		t.Fatalf("%d examples in docs/alerts.md and the runbook", len(blocks))
	}
	const beside = `providers: {mistral: {api_key: {env: MISTRAL_API_KEY}}}
checks:
  - {name: chat, kind: chat, schedule: "@every 1m", with: {model: mistral-small-latest}}
  - {name: emb, kind: embeddings, schedule: "@every 1m"}
  - {name: models, kind: models, schedule: "@every 1m"}
  - {name: way, kind: egress, schedule: "@every 1m", with: {hosts: [{host: api.mistral.ai}]}}
budget: {per_hour: 0.05}
`
	for i, block := range blocks {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "schedules.yaml")
			if err := os.WriteFile(path, []byte(beside+block[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			p := process{args: []string{"validate", path}, stdin: strings.NewReader(""), stdout: &out, stderr: &out, getenv: func(string) string { return "" }}
			if code := windsock(p); code != exitWell {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, exitWell, out.String(), block[1])
			}
		})
	}
}

// TestTheRunbookNamesVerbsAndFlagsThatExist: each `windsock …` of docs/runbook is one that the binary takes.
func TestTheRunbookNamesVerbsAndFlagsThatExist(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "docs", "runbook", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, path := range paths {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile("(?m)(?:^ *|`)(windsock [a-z][^`\n>]*)").FindAllStringSubmatch(string(page), -1) {
			named[strings.TrimSpace(found[1])] = true
		}
	}
	if len(named) < 20 {
		t.Fatalf("only %d commands in docs/runbook: %v", len(named), named)
	}
	for line := range named {
		root := newRoot(process{getenv: func(string) string { return "" }})
		verb, rest, err := root.Find(strings.Fields(line)[1:])
		if err != nil || verb == root {
			t.Errorf("%s: no such verb: %v", line, err)
			continue
		}
		if verb.Hidden {
			continue // it is being built
		}
		if err := verb.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
