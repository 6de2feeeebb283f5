package scan

import (
	"bytes"
	"strings"
)

// paths are how the addresses end that are asked, with the API of each.
func paths() [3]struct{ end, api string } {
	return [...]struct{ end, api string }{{"/chat/completions", apiChat}, {"/v1/embeddings", apiEmbeddings}, {"/fim/completions", apiFIM}}
}

// apiOf is the API that an address in a text is of, or "".
func apiOf(text []byte) string {
	for _, p := range paths() {
		if bytes.Contains(text, []byte(p.end)) {
			return p.api
		}
	}
	return ""
}

// http finds requests that are sent by hand, by the address.
func (f *finding) http() {
	seen := 0
	for _, v := range f.strings {
		text := f.src.text[v.from:v.to]
		api := apiOf(text)
		if api == "" || len(text) > 400 && !f.body.Match(text) {
			continue
		}
		named := bytes.Contains(bytes.ToLower(text), []byte("mistral"))
		if !named && !f.ours {
			continue
		}
		if seen++; seen > 200 {
			return
		}
		f.address(v, api, named)
	}
}

// address reports the requests to an address: where it stands, or where the constant that holds it is used.
func (f *finding) address(v span, api string, named bool) {
	if open := f.sendingAround(v.from - 1); open >= 0 {
		f.sent(open, api, named)
		return
	}
	name := f.assignedTo(v.from - 1)
	if name == "" {
		return
	}
	found := false
	for _, at := range f.uses(name, v) {
		if open := f.sendingAround(at); open >= 0 && f.sent(open, api, true) {
			found = true
		}
	}
	if !found && named {
		f.call(v.from, Call{API: api, MaxTokens: Unclear, Temperature: Unclear})
	}
}

// uses are the places at which a name stands, but not in what it is given.
func (f *finding) uses(name string, given span) []int {
	var all []int
	for from := 0; len(all) < most; {
		at := bytes.Index(f.code[from:], []byte(name))
		if at < 0 {
			break
		}
		at += from
		from = at + len(name)
		inName := at > 0 && word(f.code[at-1]) || from < len(f.code) && word(f.code[from])
		if !inName && (at >= given.to || from < given.from-1) {
			all = append(all, at)
		}
	}
	return all
}

// sendingAround is the bracket of the call around an offset that is not only the making of an address, or that where there
// is no other; -1 is none.
func (f *finding) sendingAround(at int) int {
	open := f.callAround(at)
	for inner := open; inner >= 0; inner = f.callAround(inner) {
		open = inner
		name := lastName(bytes.TrimRight(f.code[max(0, inner-60):inner], " \t\r\n"))
		if name != "URI" && name != "URL" && name != "Uri" && name != "create" && name != "parse" {
			break
		}
	}
	return open
}

// callAround is the bracket of the call that an offset is an argument of, or -1. Objects and lists lie between; blocks end it.
func (f *finding) callAround(at int) int {
	for range 8 {
		open := f.around(at)
		if open < 0 {
			return -1
		}
		before := bytes.TrimRight(f.code[max(0, open-200):open], " \t\r\n")
		switch f.code[open] {
		case '(':
			if len(before) > 0 && word(before[len(before)-1]) {
				return open
			}
		case '{':
			if len(before) > 0 && !strings.ContainsRune("(,:=[&", rune(before[len(before)-1])) || bytes.HasSuffix(before, []byte("=>")) {
				return -1
			}
		}
		at = open
	}
	return -1
}

// assignedTo is the name that a string is given to, or "".
func (f *finding) assignedTo(at int) string {
	before := bytes.TrimRight(f.code[max(0, at-120):at], " \tfbrFBR$@`\"'")
	for len(before) > 0 && strings.ContainsRune("=:", rune(before[len(before)-1])) {
		before = bytes.TrimRight(before[:len(before)-1], " \t")
		if end := lastName(before); end != "" && end != "string" && end != "str" && end != "String" {
			return end
		}
		before = bytes.TrimRight(bytes.TrimSuffix(bytes.TrimSuffix(before, []byte("string")), []byte("str")), " \t")
		if end := lastName(before); end != "" {
			return end
		}
	}
	return ""
}

func lastName(before []byte) string {
	i := len(before)
	for i > 0 && word(before[i-1]) {
		i--
	}
	if name := string(before[i:]); len(name) >= 3 {
		return name
	}
	return ""
}

// sent reports the request that a call sends, and says whether it is one.
func (f *finding) sent(open int, api string, named bool) bool {
	end := f.match(open)
	if end < 0 {
		return false
	}
	callee := bytes.TrimRight(f.code[max(0, open-60):open], " \t\r\n")
	at := f.begin(open - (len(f.code[max(0, open-60):open]) - len(callee)))
	c := Call{API: api}
	if a, ok := f.objectWithModel(open, end); ok {
		c.Model = f.modelOf(a)
		f.fill(&c, a)
		f.call(at, c)
		return true
	}
	if body, ok := f.jsonBody(open, end); ok {
		c.Model, c.MaxTokens, c.Temperature = body.Model, body.MaxTokens, body.Temperature
		f.call(at, c)
		return true
	}
	if !named || !f.sender.Match(callee) || f.handler(open, end) {
		return false
	}
	c.MaxTokens, c.Temperature = Unclear, Unclear
	f.call(at, c)
	return true
}

// handler says whether a function is among the arguments: the call answers requests, and sends none.
func (f *finding) handler(open, end int) bool {
	return bytes.Contains(f.code[open:end], []byte("=>")) || bytes.Contains(f.code[open:end], []byte("function"))
}

// objectWithModel is the first object between two brackets that has a key "model" of its own.
func (f *finding) objectWithModel(open, end int) (arguments, bool) {
	for i := open + 1; i < min(end, open+20_000); i++ {
		switch c := f.code[i]; {
		case c == '{', c == '[' && f.src.lang == php:
		case c == '(' && f.src.lang == python && bytes.HasSuffix(f.code[max(0, i-4):i], []byte("dict")):
		default:
			continue
		}
		last := f.match(i)
		if last < 0 || last > end {
			continue
		}
		a := f.within(i, last)
		if _, ok := a.pairs["model"]; ok {
			return a, true
		}
	}
	return arguments{}, false
}

// jsonBody reads the first text between two offsets that holds JSON with a model.
func (f *finding) jsonBody(from, to int) (Call, bool) {
	for _, v := range f.strings {
		if v.from < from || v.to > to {
			continue
		}
		if c, ok := f.bodyOf(f.src.text[v.from:v.to]); ok {
			return c, true
		}
	}
	return Call{}, false
}

// bodyOf reads JSON that stands within a text.
func (f *finding) bodyOf(text []byte) (Call, bool) {
	if !f.body.Match(text) {
		return Call{}, false
	}
	plain := bytes.ReplaceAll(text, []byte(`\"`), []byte(`"`))
	begin := bytes.IndexByte(plain, '{')
	if begin < 0 {
		return Call{}, false
	}
	inner := &finding{callFinder: f.callFinder, masked: mask(jsonText, plain[begin:]), src: &source{lang: jsonText, text: plain[begin:]}}
	end := inner.match(0)
	if end < 0 {
		return Call{MaxTokens: Unclear, Temperature: Unclear}, true
	}
	a, ok := inner.objectWithModel(-1, end+1)
	if !ok {
		return Call{}, false
	}
	a.spread = a.spread || f.inserts.Match(plain)
	c := Call{Model: inner.modelOf(a), MaxTokens: inner.presence(a, "maxtokens"), Temperature: inner.presence(a, "temperature")}
	return c, true
}
