package usagelog

import (
	"bytes"
	"encoding/json"
)

// maxDepth bounds how deep values of a line may be nested, as encoding/json does.
const maxDepth = 10_000

// sort is what kind of JSON value was found.
type sort byte

// The sorts. The zero value is null, which is also what is not there.
const (
	null sort = iota
	boolFalse
	boolTrue
	number
	text
	object
	array
	unfit // there is something else on the way to it, as in .a.b where .a is a number
)

// value is one value of a line. Its bytes are those of the line: they last as long as the line does.
type value struct {
	sort sort
	raw  []byte // of a number; of a text without its quotes, still escaped
}

// truthy is what jq takes for true: all but null and false.
func (v value) truthy() bool { return v.sort != null && v.sort != boolFalse }

// text is the text that a value is, "", false where it is none.
func (v value) text() (string, bool) {
	if v.sort != text {
		return "", false
	}
	return unescape(v.raw), true
}

func unescape(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	var s string
	quoted := append(append([]byte{'"'}, raw...), '"')
	if json.Unmarshal(quoted, &s) != nil {
		return ""
	}
	return s
}

// node is a place in a line: what is wanted there, and below it.
type node struct {
	slot  int // where its value goes; -1: nowhere
	below []edge
}

type edge struct {
	key string
	to  *node
}

// child finds or adds the place below n.
func (n *node) child(key string) *node {
	for _, e := range n.below {
		if e.key == key {
			return e.to
		}
	}
	to := &node{slot: -1}
	n.below = append(n.below, edge{key, to})
	return to
}

// scanner reads one line at a time and takes the wanted values out of it. It accepts what encoding/json accepts.
type scanner struct {
	root   *node
	values []value // by slot
	data   []byte
	at     int
}

// scan reports whether line is exactly one JSON value. Values of a line before are gone.
func (s *scanner) scan(line []byte) bool {
	clear(s.values)
	s.data, s.at = line, 0
	if !s.value(s.root, 0) {
		return false
	}
	s.space()
	return s.at == len(s.data)
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// next skips the space and what follows, where it is c.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

// value reads a value. n is nil where nobody wants it.
func (s *scanner) value(n *node, depth int) bool {
	s.space()
	if s.at >= len(s.data) || depth > maxDepth {
		return false
	}
	var v value
	var ok bool
	switch c := s.data[s.at]; c {
	case '{':
		return s.object(n, depth)
	case '[':
		v.sort, ok = array, s.array(depth)
	case '"':
		v.sort = text
		v.raw, ok = s.string()
	case 't':
		v.sort, ok = boolTrue, s.word("true")
	case 'f':
		v.sort, ok = boolFalse, s.word("false")
	case 'n':
		v.sort, ok = null, s.word("null")
	default:
		v.sort = number
		v.raw, ok = s.number()
	}
	if n != nil {
		s.put(n, v)
	}
	return ok
}

// put keeps v where it is wanted. Below it there is nothing: null, or what does not fit where v is more than that.
func (s *scanner) put(n *node, v value) {
	if n.slot >= 0 {
		s.values[n.slot] = v
	}
	if v.sort != null {
		v = value{sort: unfit}
	}
	for _, e := range n.below {
		s.put(e.to, v)
	}
}

func (s *scanner) object(n *node, depth int) bool {
	if n != nil {
		s.put(n, value{}) // a key may be there twice: the later one counts
		if n.slot >= 0 {
			s.values[n.slot] = value{sort: object}
		}
	}
	s.at++
	if s.next('}') {
		return true
	}
	for {
		s.space()
		if s.at >= len(s.data) || s.data[s.at] != '"' {
			return false
		}
		key, ok := s.string()
		if !ok || !s.next(':') || !s.value(n.find(key), depth+1) {
			return false
		}
		if s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

// find is the place below n that is wanted, nil where none is.
func (n *node) find(key []byte) *node {
	if n == nil || len(n.below) == 0 {
		return nil
	}
	name := key
	if bytes.IndexByte(key, '\\') >= 0 {
		name = []byte(unescape(key))
	}
	for _, e := range n.below {
		if e.key == string(name) {
			return e.to
		}
	}
	return nil
}

func (s *scanner) array(depth int) bool {
	s.at++
	if s.next(']') {
		return true
	}
	for {
		if !s.value(nil, depth+1) {
			return false
		}
		if s.next(']') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

// string reads a string and returns what is between its quotes.
func (s *scanner) string() ([]byte, bool) {
	start := s.at + 1
	for i := start; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.at = i + 1
			return s.data[start:i], true
		case c < ' ':
			return nil, false
		case c == '\\':
			n := escape(s.data[i:])
			if n == 0 {
				return nil, false
			}
			i += n - 1
		}
	}
	return nil, false
}

// escape is how long the escape is that data begins with; 0 where it is none.
func escape(data []byte) int {
	if len(data) < 2 {
		return 0
	}
	switch data[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(data) < 6 {
			return 0
		}
		for _, c := range data[2:6] {
			if !isHex(c) {
				return 0
			}
		}
		return 6
	}
	return 0
}

func isHex(c byte) bool {
	return isDigit(c) || (c|0x20 >= 'a' && c|0x20 <= 'f')
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (s *scanner) word(want string) bool {
	if len(s.data)-s.at < len(want) || string(s.data[s.at:s.at+len(want)]) != want {
		return false
	}
	s.at += len(want)
	return true
}

func (s *scanner) number() ([]byte, bool) {
	start := s.at
	s.one('-', '-')
	first := s.at
	if !s.digits() || (s.data[first] == '0' && s.at > first+1) {
		return nil, false
	}
	if s.one('.', '.') && !s.digits() {
		return nil, false
	}
	if s.one('e', 'E') {
		s.one('+', '-')
		if !s.digits() {
			return nil, false
		}
	}
	return s.data[start:s.at], true
}

// one skips one of two bytes, where one of them is next.
func (s *scanner) one(a, b byte) bool {
	if s.at < len(s.data) && (s.data[s.at] == a || s.data[s.at] == b) {
		s.at++
		return true
	}
	return false
}

// digits skips digits, at least one.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.data) && isDigit(s.data[s.at]) {
		s.at++
	}
	return s.at > start
}
