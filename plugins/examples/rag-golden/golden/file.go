package golden

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxProblems is how many problems of a file are told at once.
const maxProblems = 5

// file is a golden file that is read again when it changes. It is not safe for concurrent use.
type file struct {
	path      string
	modified  time.Time
	size      int64
	questions []Question
}

// read is the set that the file holds now. Its error says where the file is wrong and what was wanted.
func (f *file) read() ([]Question, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, unreadable(f.path, err)
	}
	if f.questions != nil && info.ModTime().Equal(f.modified) && info.Size() == f.size {
		return f.questions, nil
	}
	data, err := contents(f.path, info)
	if err != nil {
		return nil, err
	}
	questions, err := parse(f.path, data)
	if err != nil {
		return nil, err
	}
	f.modified, f.size, f.questions = info.ModTime(), info.Size(), questions
	return questions, nil
}

func contents(path string, info fs.FileInfo) ([]byte, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file, want a golden set in YAML or JSONL", path)
	}
	in, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, nil
}

func unreadable(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not there, want the golden set", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be read: give the agent's user the right to, and list it under `read:` of the plugin", path)
	}
	return fmt.Errorf("reading %s: %w", path, err)
}

// entry is a question and where it stands.
type entry struct {
	Question
	line int
	node ast.Node // nil in JSONL
}

func parse(path string, data []byte) ([]Question, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	read := fromYAML
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jsonl", ".ndjson":
		read = fromJSONL
	}
	entries, err := read(path, data)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 || len(entries) > maxQuestions {
		return nil, fmt.Errorf("%s:1: %d questions, want 1 to %d", path, len(entries), maxQuestions)
	}
	var errs []error
	seen := map[string]int{}
	questions := make([]Question, 0, len(entries))
	for _, e := range entries {
		problems := e.problems()
		if first, ok := seen[e.ID]; ok {
			problems = append(problems, problem{"id", fmt.Sprintf("%q is that of line %d, want one of its own", cut(e.ID, 80), first)})
		}
		seen[e.ID] = e.line
		for _, p := range problems {
			errs = append(errs, fmt.Errorf("%s:%d: %s", path, e.lineOf(p.field), p))
		}
		questions = append(questions, e.Question)
	}
	if more := len(errs) - maxProblems; more > 0 {
		errs = append(errs[:maxProblems], fmt.Errorf("%s: %d more", path, more))
	}
	return questions, errors.Join(errs...)
}

// lineOf is the line of a field, or of the entry where it has none.
func (e *entry) lineOf(field string) int {
	mapping, ok := e.node.(*ast.MappingNode)
	if !ok {
		return e.line
	}
	i := slices.IndexFunc(mapping.Values, func(v *ast.MappingValueNode) bool { return v.Key.String() == field })
	if i < 0 {
		return e.line
	}
	return mapping.Values[i].Key.GetToken().Position.Line
}

func fromJSONL(path string, data []byte) ([]entry, error) {
	var entries []entry
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		e := entry{line: line}
		if err := decoder.Decode(&e.Question); err != nil {
			return nil, fmt.Errorf("%s:%d: %s, want one question as a JSON object", path, line, cut(strings.TrimPrefix(err.Error(), "json: "), 160))
		}
		if decoder.More() {
			return nil, fmt.Errorf("%s:%d: more than one value, want one question per line", path, line)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func fromYAML(path string, data []byte) ([]entry, error) {
	doc, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, placed(path, 1, err)
	}
	if len(doc.Docs) != 1 || doc.Docs[0].Body == nil {
		return nil, fmt.Errorf("%s:1: %d documents, want one: a list of questions", path, len(doc.Docs))
	}
	list, ok := doc.Docs[0].Body.(*ast.SequenceNode)
	if !ok {
		return nil, fmt.Errorf("%s:%d: a %s, want a list of questions", path, doc.Docs[0].Body.GetToken().Position.Line, strings.ToLower(doc.Docs[0].Body.Type().String()))
	}
	entries := make([]entry, 0, len(list.Values))
	for _, node := range list.Values {
		e := entry{line: node.GetToken().Position.Line, node: node}
		if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
			e.line = mapping.Values[0].Key.GetToken().Position.Line
		}
		if err := yaml.NodeToValue(node, &e.Question, yaml.Strict()); err != nil {
			return nil, placed(path, e.line, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// placed gives an error of the YAML library its place, in one line.
func placed(path string, line int, err error) error {
	text := err.Error()
	if at, ok := errors.AsType[yaml.Error](err); ok {
		text = at.GetMessage()
		if token := at.GetToken(); token != nil {
			return fmt.Errorf("%s:%d:%d: %s", path, token.Position.Line, token.Position.Column, cut(text, 160))
		}
	}
	return fmt.Errorf("%s:%d: %s", path, line, cut(text, 160))
}
