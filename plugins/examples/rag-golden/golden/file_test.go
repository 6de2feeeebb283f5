package golden_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/checks/checktest"
	"github.com/windsock-monitor/windsock/plugins/examples/rag-golden/golden"
)

func validate(path string) error {
	return golden.Kind().Validate(checktest.Decoder("url: http://rag.test\ngolden: "+path, key))
}

func TestGoldenFilesAreRead(t *testing.T) {
	t.Parallel()
	jsonl := `{"id":"a","question":"Q 😀","must_contain":["x"]}` + "\n\n" + `{"id":"b","question":"\ud83d\ude00","refusal":true}`
	for name, path := range map[string]string{
		"YAML":                 write(t, "a.yaml", set),
		"YAML with a BOM":      write(t, "a.yml", "\ufeff"+strings.TrimSpace(set)),
		"YAML with comments":   write(t, "b.yaml", "# the set\n---"+set),
		"JSON":                 write(t, "a.json", `[{"id":"a","question":"Q","must_contain":["x"]}]`),
		"JSONL":                write(t, "a.jsonl", jsonl),
		"JSONL with CR and LF": write(t, "a.ndjson", strings.ReplaceAll(jsonl, "\n", "\r\n")),
	} {
		if err := validate(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := run(t, build(t, "url: "+serve(t, &endpoint{says: good()})+"\ngolden: "+write(t, "c.yaml", set), nil))
	if r.Status != checks.OK {
		t.Errorf("%s: %s, want ok", r.Status, r.Summary)
	}
}

func TestGoldenFilesThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file, text string
		want       []string
	}{
		"nothing":                    {"a.yaml", "", []string{"a.yaml:1: 1 documents, want one: a list of questions"}},
		"a mapping":                  {"a.yaml", "questions: []", []string{"a.yaml:1: a mapping", "want a list of questions"}},
		"an empty list":              {"a.yaml", "[]", []string{"a.yaml:1: 0 questions, want 1 to 1000"}},
		"broken YAML":                {"a.yaml", "- id: a\n  question: [", []string{"a.yaml:2:"}},
		"a key that is not known":    {"a.yaml", "- id: a\n  question: q\n  must_have: [x]\n", []string{"a.yaml:3:3:", `unknown field "must_have"`}},
		"a fact that is no list":     {"a.yaml", "- id: a\n  question: q\n  must_contain: {x: y}\n", []string{"a.yaml:3:"}},
		"a word for a question":      {"a.yaml", "- id: a\n  question: q\n  refusal: true\n- hello\n", []string{"a.yaml:4:"}},
		"an id with a space":         {"a.yaml", "- id: a b\n  question: q\n  refusal: true\n", []string{`a.yaml:1: id: "a b", want 1 to 64 letters`}},
		"an id that is there":        {"a.yaml", "- {id: a, question: q, refusal: true}\n- question: q\n  id: a\n  refusal: true\n", []string{`a.yaml:3: id: "a" is that of line 1`}},
		"nothing expected":           {"a.yaml", "- {id: a, question: q, refusal: true}\n- id: b\n  question: q\n", []string{"a.yaml:2: id: nothing is expected"}},
		"a weight of words":          {"a.yaml", "- id: a\n  question: q\n  refusal: true\n  weight: heavy\n", []string{"a.yaml:4:"}},
		"a weight that is no number": {"a.yaml", "- id: a\n  question: q\n  refusal: true\n  weight: .nan\n", []string{"a.yaml:4: weight: NaN, want 0 to 1000"}},
		"many problems":              {"a.yaml", strings.Repeat("- {id: '', question: q, refusal: true}\n", 9), []string{"a.yaml:1: id", "more"}},
		"JSONL: a list":              {"a.jsonl", `{"id":"a","question":"q","refusal":true}` + "\n[]", []string{"a.jsonl:2:", "want one question as a JSON object"}},
		"JSONL: a key":               {"a.jsonl", `{"id":"a","question":"q","answer":"x"}`, []string{`a.jsonl:1: unknown field "answer"`}},
		"JSONL: two values":          {"a.jsonl", `{"id":"a","question":"q","refusal":true} {}`, []string{"a.jsonl:1: more than one value"}},
		"JSONL: half a line":         {"a.jsonl", `{"id":"a","question":"q`, []string{"a.jsonl:1:", "want one question"}},
		"too large":                  {"a.yaml", strings.Repeat("# much\n", 700_000), []string{"has more than 4194304 bytes"}},
	} {
		err := validate(write(t, tc.file, tc.text))
		if err == nil {
			t.Errorf("%s is taken", name)
			continue
		}
		for _, want := range append(tc.want, "golden: ") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want …%s…", name, err, want)
			}
		}
	}
}

func TestGoldenFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := validate(folder); err == nil || !strings.Contains(err.Error(), "is not a file, want a golden set") {
		t.Errorf("a folder: %v", err)
	}
	if err := validate(filepath.Join(folder, "none.yaml")); err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("no file: %v", err)
	}
	if os.Geteuid() != 0 {
		path := write(t, "a.yaml", set)
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		if err := validate(path); err == nil || !strings.Contains(err.Error(), "list it under `read:`") {
			t.Errorf("no right: %v", err)
		}
	}
}
