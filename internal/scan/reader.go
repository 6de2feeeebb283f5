package scan

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
)

// reader looks at one file after another. It keeps a buffer: two goroutines need two.
type reader struct {
	buffer []byte
	loaded int // bytes of the buffer that load has filled
	keys   *keys
	calls  *callFinder
}

func newReader() *reader { return &reader{keys: keyPatterns(), calls: callPatterns()} }

//nolint:gochecknoglobals // patterns that never change, compiled when first used
var (
	keyPatterns  = sync.OnceValue(newKeys)
	callPatterns = sync.OnceValue(newCallFinder)
)

// load reads a file's beginning. The text is nil where it is none; it is the reader's, until the next load.
func (r *reader) load(f *os.File, most int64) (text []byte, more bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if need := int(min(info.Size(), most)) + 1; cap(r.buffer) < need {
		r.buffer = make([]byte, need)
	}
	whole := r.buffer[:min(info.Size(), most)+1]
	n, err := io.ReadFull(f, whole[:min(len(whole), sniffed)])
	if err == nil && plain(whole[:n]) {
		var rest int
		rest, err = io.ReadFull(f, whole[n:])
		n += rest
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, false, err
	}
	r.loaded = n
	if more = int64(n) > most; more {
		n = int(most)
	}
	text = whole[:n]
	switch {
	case wide(text):
		return narrow(text), more, nil
	case !plain(text):
		return nil, false, nil
	}
	return text, more, nil
}

const sniffed = 8000 // bytes that tell text from other things, as git does

// plain says whether the beginning of a file is text in a code of single bytes.
func plain(text []byte) bool {
	head := text[:min(len(text), sniffed)]
	if wide(head) {
		return true // read on: it is a text in UTF-16
	}
	control := 0
	for _, c := range head {
		switch {
		case c == 0:
			return false
		case c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b && c != '\b':
			control++
		}
	}
	return control*50 <= len(head)
}

// wide says whether a text says of itself that it is UTF-16, as some shells of Windows write an .env.
func wide(text []byte) bool {
	return bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff})
}

func narrow(text []byte) []byte {
	high, low := 1, 0
	if text[0] == 0xfe {
		high, low = 0, 1
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 2; i+1 < len(text); i += 2 {
		units = append(units, uint16(text[i+high])<<8|uint16(text[i+low]))
	}
	return []byte(string(utf16.Decode(units)))
}

// look finds all that a text holds.
func (r *reader) look(name string, text []byte) seen {
	var s seen
	src := &source{name: name, lang: languageOf(name, text), text: text}
	r.keys.find(src, &s)
	r.calls.find(src, &s)
	s.stand(name)
	return s
}

// source is a text with its language.
type source struct {
	name string
	lang language
	text []byte

	at, from, line int   // where place was asked last, the beginning of that line, and how many are before it
	begin          Place // the line and the column, from 0, at which the text begins in its file
	names          *bool // what ours has found
}

// ours says whether the text names the provider.
func (s *source) ours() bool {
	if s.names == nil {
		names := hasFold(s.text, "mistral")
		s.names = &names
	}
	return *s.names
}

// place is where an offset stands in the text. Asked in rising order, it goes through the text once.
func (s *source) place(offset int) Place {
	if offset < s.at {
		s.at, s.from, s.line = 0, 0, 0
	}
	between := s.text[s.at:offset]
	s.line += bytes.Count(between, []byte("\n"))
	if end := bytes.LastIndexByte(between, '\n'); end >= 0 {
		s.from = s.at + end + 1
	}
	s.at = offset
	p := Place{Line: s.begin.Line + s.line + 1, Column: offset - s.from + 1}
	if s.line == 0 {
		p.Column += s.begin.Column
	}
	return p
}

// language is what is a comment, what is a string, and whether words outside strings are values.
type language int

const (
	prose  language = iota // documents: credentials are looked for, calls are not
	curly                  // // and /* */, strings in " ' `: JavaScript, TypeScript
	goLike                 // the same, where ` is raw and no ${}: Go, Java, Kotlin, C#, Rust, Swift, Scala, Dart
	php                    // curly, and #
	python                 // #, strings in three quotes
	ruby                   // #
	shell                  // #, words are values
	yaml
	toml // TOML, .env, .ini, .properties
	jsonText
	docker
	hcl
	xml
)

// words says whether a value stands without quotes in the language.
func (l language) words() bool {
	switch l {
	case shell, yaml, toml, docker, xml, prose:
		return true
	case curly, goLike, php, python, ruby, jsonText, hcl:
	}
	return false
}

// code says whether the language has calls.
func (l language) code() bool {
	switch l {
	case curly, goLike, php, python, ruby:
		return true
	case prose, shell, yaml, toml, jsonText, docker, hcl, xml:
	}
	return false
}

func languageOf(name string, text []byte) language {
	base := strings.ToLower(path.Base(name))
	switch {
	case strings.HasPrefix(base, "dockerfile"), strings.HasPrefix(base, "containerfile"), strings.HasSuffix(base, ".dockerfile"):
		return docker
	case base == ".env", strings.HasPrefix(base, ".env."), base == ".envrc", base == ".npmrc", base == ".pypirc", base == ".netrc":
		return toml
	case base == "makefile", base == "gnumakefile", base == "justfile":
		return shell
	case base == "gemfile", base == "rakefile":
		return ruby
	}
	if l, ok := byEnding(strings.TrimPrefix(path.Ext(base), ".")); ok {
		return l
	}
	if bytes.HasPrefix(text, []byte("#!")) {
		return byFirstLine(text)
	}
	return prose
}

func byEnding(end string) (language, bool) {
	switch end {
	case "ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs", "vue", "svelte", "astro":
		return curly, true
	case "go", "java", "kt", "kts", "cs", "rs", "swift", "scala", "dart", "groovy", "gradle", "c", "h", "cc", "cpp", "hpp", "m", "fs", "proto":
		return goLike, true
	case "php":
		return php, true
	case "py", "pyi", "pyw":
		return python, true
	case "rb", "ex", "exs", "cr":
		return ruby, true
	case "sh", "bash", "zsh", "ksh", "fish", "ps1", "mk":
		return shell, true
	case "yaml", "yml":
		return yaml, true
	case "toml", "env", "ini", "cfg", "conf", "properties", "service":
		return toml, true
	case "json", "jsonc", "json5", "ipynb":
		return jsonText, true
	case "tf", "tfvars", "hcl":
		return hcl, true
	case "xml", "config", "plist", "csproj":
		return xml, true
	}
	return prose, false
}

func byFirstLine(text []byte) language {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case bytes.Contains(line, []byte("python")):
		return python
	case bytes.Contains(line, []byte("node")), bytes.Contains(line, []byte("deno")), bytes.Contains(line, []byte("bun")):
		return curly
	case bytes.Contains(line, []byte("ruby")):
		return ruby
	case bytes.Contains(line, []byte("php")):
		return php
	}
	return shell
}

// isTest says whether a path is one that tests and examples have.
func isTest(name string) bool {
	parts := strings.Split(strings.ToLower(name), "/")
	for _, p := range parts[:len(parts)-1] {
		switch p {
		case "test", "tests", "testdata", "testutil", "testutils", "testing", "__tests__", "spec", "specs", "fixtures", "__fixtures__", "__mocks__", "mocks", "e2e", "example", "examples":
			return true
		}
	}
	base := parts[len(parts)-1]
	stem := strings.TrimSuffix(base, path.Ext(base))
	return strings.HasPrefix(base, "test_") || strings.Contains(stem, "_test_") || base == "conftest.py" ||
		slices.ContainsFunc([]string{"_test", ".test", ".spec", "_spec", "_tests"}, func(end string) bool { return strings.HasSuffix(stem, end) })
}
