package scan

import (
	"bytes"
	"slices"
	"strings"
)

// configurations finds, in what is no program, the models that are named, the mappings that hold a call's parameters, and
// the requests that a shell sends.
func (f *finding) configurations() {
	f.curl()
	switch f.src.lang {
	case yaml, toml:
		f.mappings()
	case prose, curly, goLike, php, python, ruby, shell, jsonText, docker, hcl, xml:
	}
	if f.src.lang == jsonText || f.src.lang == yaml || f.src.lang == hcl {
		f.objects()
	}
	f.names()
}

// names reports the values that are a model's name and nothing else.
func (f *finding) names() {
	for _, at := range f.token.FindAllIndex(f.src.text, -1) {
		v := string(f.src.text[at[0]:at[1]])
		from := at[0]
		if i := strings.LastIndex(v, ":-"); i >= 0 { // ${MODEL:-name}
			from, v = from+i+2, v[i+2:]
		}
		model := f.modelIn(v)
		if model == "" || f.commented(from) || !f.bounded(from, at[1]) {
			continue
		}
		f.mention(from, model)
	}
}

// commented says whether an offset is in a comment: blank in the code, and in no string.
func (f *finding) commented(at int) bool {
	return f.code[at] == ' ' && f.src.text[at] != ' ' && !f.inString(at)
}

func (f *finding) inString(at int) bool {
	low, high := 0, len(f.strings)
	for low < high {
		if mid := (low + high) / 2; f.strings[mid].to <= at {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(f.strings) && f.strings[low].from <= at
}

// bounded says whether a value stands alone.
func (f *finding) bounded(from, to int) bool {
	if from > 0 && !strings.ContainsRune(" \t\n\"'=:,[({\\-", rune(f.src.text[from-1])) {
		return false
	}
	return to >= len(f.src.text) || strings.ContainsRune(" \t\r\n\"',])};\\|", rune(f.src.text[to]))
}

// objects reports the objects in braces that name a model and set parameters beside it.
func (f *finding) objects() {
	for _, p := range f.pairs {
		i, end := p.open, p.close
		if f.code[i] != '{' || end < 0 || end > i+20_000 || p.depth > 64 { // longer or deeper, it holds more than parameters
			continue
		}
		a := f.within(i, end)
		model := f.modelOf(arguments{pairs: a.pairs})
		if f.src.lang != jsonText && model == "" {
			if v, ok := a.pairs["model"]; ok {
				model = f.modelIn(strings.TrimSpace(string(f.code[v.from:v.to])))
			}
		}
		if v, ok := a.pairs["model"]; ok && model != "" && parameters(a) {
			c := Call{API: apiOfModel(model), Model: model}
			f.fill(&c, a)
			f.call(v.from, c)
		}
	}
}

func parameters(a arguments) bool {
	for _, name := range []string{"maxtokens", "temperature", "topp", "messages", "randomseed"} {
		if _, ok := a.pairs[name]; ok {
			return true
		}
	}
	return false
}

func apiOfModel(model string) string {
	if strings.Contains(model, "embed") {
		return apiEmbeddings
	}
	return apiChat
}

// mappings reports the mappings of YAML, and the tables of TOML, that name a model and set parameters beside it.
func (f *finding) mappings() {
	all := bytes.Split(f.src.text, []byte("\n"))
	offset, seen := 0, 0
	for i, line := range all {
		if seen == most {
			return
		}
		if m := f.setting.FindSubmatchIndex(bytes.TrimRight(line, "\r")); m != nil {
			if model := f.modelIn(string(line[m[4]:m[5]])); model != "" && !f.commented(offset+m[4]) {
				f.mapping(all, i, offset+m[4], model)
				seen++
			}
		}
		offset += len(line) + 1
	}
}

// mapping reports the one that a line with a model belongs to.
func (f *finding) mapping(all [][]byte, i, at int, model string) {
	names := map[string]bool{}
	indent := indentOf(all[i])
	f.collect(all[i:], indent, names, true)
	if !bytes.HasPrefix(bytes.TrimLeft(all[i], " \t"), []byte("- ")) { // else the item begins here
		f.collect(reversed(all[max(0, i-500):i]), indent, names, false)
	}
	if !names["maxtokens"] && !names["temperature"] && !names["topp"] && !names["randomseed"] {
		return
	}
	c := Call{API: apiOfModel(model), Model: model, MaxTokens: Absent, Temperature: Absent}
	if names["<<"] {
		c.MaxTokens, c.Temperature = Unclear, Unclear
	}
	if names["maxtokens"] || names["maxoutputtokens"] {
		c.MaxTokens = Set
	}
	if names["temperature"] {
		c.Temperature = Set
	}
	if c.API == apiEmbeddings {
		c.MaxTokens, c.Temperature = Absent, Absent
	}
	f.call(at, c)
}

func reversed(lines [][]byte) [][]byte {
	back := slices.Clone(lines)
	slices.Reverse(back)
	return back
}

// collect gathers the names in a mapping, from its lines in one direction, up to where it ends.
func (f *finding) collect(lines [][]byte, indent int, names map[string]bool, down bool) {
	for n, line := range lines[:min(len(lines), 500)] {
		text := bytes.TrimSpace(line)
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		item := bytes.HasPrefix(text, []byte("- ")) || string(text) == "-"
		in := indentOf(line)
		switch {
		case f.src.lang == toml && text[0] == '[', in < indent, bytes.HasPrefix(text, []byte("---")):
			return
		case down && n > 0 && item && in <= indent:
			return
		}
		for _, name := range namesIn(bytes.TrimPrefix(text, []byte("- "))) {
			names[name] = true
		}
		if !down && item && in <= indent {
			return
		}
	}
}

// indentOf is the column at which a line's first name stands.
func indentOf(line []byte) int {
	text := bytes.TrimLeft(line, " \t")
	n := len(line) - len(text)
	for bytes.HasPrefix(text, []byte("- ")) {
		rest := bytes.TrimLeft(text[1:], " ")
		n += len(text) - len(rest)
		text = rest
	}
	return n
}

// namesIn are the names that a line assigns to, as keyOf makes them: one, or those of a mapping in braces.
func namesIn(text []byte) []string {
	var names []string
	for _, part := range bytes.FieldsFunc(text, func(r rune) bool { return r == '{' || r == ',' || r == '}' }) {
		end := bytes.IndexAny(part, ":=")
		if end > 0 && end < 40 {
			names = append(names, keyOf(strings.Trim(string(part[:end]), " \t\"'")))
		}
	}
	return names
}

// curl reports the requests that shell commands send: in scripts, and in the configurations that hold some.
func (f *finding) curl() {
	if f.src.lang == jsonText {
		return
	}
	text := f.src.text
	for _, p := range paths() {
		for from := 0; from < len(text); {
			at := bytes.Index(text[from:], []byte(p.end))
			if at < 0 {
				break
			}
			at += from
			from = max(at+len(p.end), f.command(at, p.api))
		}
	}
}

// command reports the command that an address is in, and returns where it ends.
func (f *finding) command(at int, api string) int {
	text := f.src.text
	begin := bytes.LastIndexByte(text[:at], '\n') + 1
	for n := 0; begin > 1 && n < 40 && continued(text, begin); n++ {
		begin = bytes.LastIndexByte(text[:begin-1], '\n') + 1
	}
	where := f.client.FindIndex(text[begin:at])
	if where == nil || bytes.HasPrefix(bytes.TrimSpace(text[begin:at]), []byte("#")) {
		return at
	}
	begin += where[0]
	end := f.commandEnd(begin)
	if !bytes.Contains(bytes.ToLower(text[begin:end]), []byte("mistral")) && !f.ours {
		return end
	}
	c, ok := f.bodyOf(text[begin:end])
	if !ok {
		c = Call{MaxTokens: Unclear, Temperature: Unclear}
	}
	c.API = api
	if api == apiEmbeddings {
		c.MaxTokens, c.Temperature = Absent, Absent
	}
	f.call(begin, c)
	return end
}

// continued says whether the line before an offset goes on after it.
func continued(text []byte, begin int) bool {
	before := bytes.TrimRight(text[:begin-1], "\r \t")
	return bytes.HasSuffix(before, []byte(`\`))
}

// commandEnd is where a command ends: with its line, unless that goes on, is within quotes, or brings a document.
func (f *finding) commandEnd(begin int) int {
	text := f.src.text
	quote := byte(0)
	for i := begin; i < min(len(text), begin+20_000); i++ {
		switch c := text[i]; {
		case c == '\\' && quote != '\'':
			if i+1 < len(text) && text[i+1] == '\r' {
				i++
			}
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '\n':
			return f.document(begin, i)
		}
	}
	return min(len(text), begin+20_000)
}

// document is where the document ends that a command's last line announces, or the line's own end.
func (f *finding) document(begin, end int) int {
	text := f.src.text
	m := f.heredoc.FindSubmatch(text[begin:end])
	if m == nil {
		return end
	}
	for from := end + 1; from < min(len(text), end+20_000); {
		to := bytes.IndexByte(text[from:], '\n')
		if to < 0 {
			return len(text)
		}
		if bytes.Equal(bytes.TrimSpace(text[from:from+to]), m[1]) {
			return from + to
		}
		from += to + 1
	}
	return end
}
