package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxSize is the largest file that is read, in bytes. Ten thousand checks fit.
const MaxSize = 1 << 20

// The bounds of what a file may hold. The parser's work grows with the square of some of these.
const (
	maxTokens    = 300_000
	maxLineItems = 4_000 // tokens on one line
	maxKeys      = 1_000 // in one mapping
	maxDepth     = 32
)

// syntax reads the text as one YAML mapping, with every problem that stands in the way reported. nil where it cannot be
// read.
func (r *report) syntax(data []byte) (root *ast.MappingNode) {
	if len(data) > MaxSize {
		r.add(place{}, "", "the file is larger than %d bytes (1 MiB), want less", MaxSize)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !r.text(data) {
		return nil
	}
	// The library has been known to panic on text that nobody would write; no file may take the agent down.
	defer func() {
		if v := recover(); v != nil {
			r.add(place{}, "", "this is not YAML that can be read")
			root = nil
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if !r.bounded(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntaxError(err)
		return nil
	}
	for _, tk := range tokens { // or whoever keeps a section keeps the whole file
		tk.Prev, tk.Next = nil, nil
	}
	return r.mapping(file)
}

func (r *report) mapping(file *ast.File) *ast.MappingNode {
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) == 0:
		r.add(place{}, "", "the file is empty, want at least `%s:`", r.first)
	case len(bodies) > 1:
		r.add(placeOf(bodies[1]), "", "a second document begins, want one document")
	default:
		if m, ok := asMapping(bodies[0]); ok {
			return m
		}
		r.add(placeOf(bodies[0]), "", "found %s, want keys such as `%s:`", r.describe(bodies[0]), r.first)
	}
	return nil
}

// describe says what the whole file is. One that is named by mistake may be a key's: its text is not shown.
func (r *report) describe(n ast.Node) string {
	if !r.named {
		return describe(n)
	}
	for line := range r.lines {
		r.mask(place{line + 1, 1})
	}
	if n.Type() == ast.StringType || n.Type() == ast.IntegerType {
		return "text"
	}
	return describe(n)
}

// text refuses what is not text before anything tries to read it.
func (r *report) text(data []byte) bool {
	line, start := 1, 0
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		column := func() int { return utf8.RuneCount(data[start:i]) + 1 }
		switch {
		case c == utf8.RuneError && size == 1:
			r.add(place{line, column()}, "", "byte 0x%02x is not UTF-8 text", data[i])
			return false
		case c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f:
			r.add(place{line, column()}, "", "byte 0x%02x, want text: this looks like a binary file", data[i])
			return false
		case c == '\n':
			line, start = line+1, i+1
		}
		i += size
	}
	return true
}

// bounded walks the tokens before they are parsed: it refuses what could make the parser slow or the result large, and
// what this file has no use for.
func (r *report) bounded(tokens token.Tokens) bool {
	g := guard{report: r}
	for _, tk := range tokens {
		if !g.accept(tk) {
			return false
		}
	}
	if len(tokens) > maxTokens {
		r.add(place{}, "", "the file holds more than %d words and marks, want less", maxTokens)
		return false
	}
	return true
}

// guard follows the nesting.
type guard struct {
	*report
	block []level
	flow  int
	line  int
	items int // tokens of this line
}

// level is one block of YAML: the column where its keys or dashes stand.
type level struct{ column, keys int }

func (g *guard) accept(tk *token.Token) bool {
	at := placeOfToken(tk)
	if g.items++; tk.Position.Line != g.line {
		g.line, g.items = tk.Position.Line, 1
	}
	switch tk.Type { //nolint:exhaustive // all others are content
	case token.AnchorType, token.AliasType, token.MergeKeyType:
		g.add(at, "", "anchors, aliases and merge keys (&, *, <<) are not read here; write the values out")
		return false
	case token.TagType:
		g.add(at, "", "tags (%s) are not read here; quote what must be text", tk.Value)
		return false
	case token.DirectiveType:
		g.add(at, "", "directives (%%) are not read here")
		return false
	case token.MappingKeyType:
		g.add(at, "", "complex keys (?) are not read here; write `key: value`")
		return false
	case token.SequenceStartType, token.MappingStartType:
		g.flow++
	case token.SequenceEndType, token.MappingEndType:
		g.flow = max(0, g.flow-1)
	case token.SequenceEntryType:
		g.enter(tk.Position.Column)
	case token.MappingValueType:
		if g.flow == 0 && tk.Prev != nil {
			g.enter(tk.Prev.Position.Column).keys++
		}
	}
	return g.within(at)
}

func (g *guard) enter(column int) *level {
	for len(g.block) > 0 && g.block[len(g.block)-1].column > column {
		g.block = g.block[:len(g.block)-1]
	}
	if len(g.block) == 0 || g.block[len(g.block)-1].column < column {
		g.block = append(g.block, level{column: column})
	}
	return &g.block[len(g.block)-1]
}

func (g *guard) within(at place) bool {
	switch {
	case g.items > maxLineItems:
		g.add(at, "", "more than %d words and marks on one line, want less", maxLineItems)
	case g.flow+len(g.block) > maxDepth:
		g.add(at, "", "nested more than %d deep, want less", maxDepth)
	case len(g.block) > 0 && g.block[len(g.block)-1].keys > maxKeys:
		g.add(at, "", "more than %d keys in one place, want less", maxKeys)
	default:
		return true
	}
	return false
}

// syntaxError places what the parser said. A tab before the first word is the usual reason, and never named by parsers.
func (r *report) syntaxError(err error) {
	syntax, ok := errors.AsType[*yaml.SyntaxError](err)
	if !ok || syntax.Token == nil {
		r.add(place{}, "", "this is not YAML that can be read")
		return
	}
	at := placeOfToken(syntax.Token)
	for n := max(1, at.line-1); n <= min(at.line+1, len(r.lines)); n++ {
		line := r.lines[n-1]
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
			r.add(place{n, tab + 1}, "", "a tab stands before the text, want spaces: YAML does not indent with tabs")
			return
		}
	}
	hint := ""
	switch {
	case strings.Contains(syntax.Message, "mapping value is not allowed"):
		hint = "check the indentation, and quote values that hold `: `"
	case strings.Contains(syntax.Message, "reserved character"):
		hint = "quote the value"
	}
	r.add(at, hint, "this is not YAML: %s", syntax.Message)
}

func placeOfToken(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{}
	}
	return place{tk.Position.Line, tk.Position.Column}
}

// placeOf is where the node begins: a block of keys begins at its first key.
func placeOf(n ast.Node) place {
	if m, ok := asMapping(n); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return placeOfToken(m.Values[0].Key.GetToken())
	}
	return placeOfToken(n.GetToken())
}

func asMapping(n ast.Node) (*ast.MappingNode, bool) {
	switch v := n.(type) {
	case *ast.MappingNode:
		return v, true
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: v.BaseNode, Start: v.Start, Values: []*ast.MappingValueNode{v}}, true
	}
	return nil, false
}

// describe says what a node is, for "found …". Text is quoted, shortened, and masked where it could be a credential.
func describe(n ast.Node) string {
	switch v := n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode, *ast.NanNode, *ast.InfinityNode:
		return n.GetToken().Value
	case *ast.IntegerNode, *ast.FloatNode:
		return "the number " + n.GetToken().Value
	case *ast.StringNode:
		return "the text " + quote(v.Value)
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.SequenceNode:
		if len(v.Values) == 0 {
			return "an empty list"
		}
		return "a list"
	}
	if _, ok := asMapping(n); ok {
		return "a mapping of keys"
	}
	return "something else"
}

func quote(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", maskWords(text))
}
