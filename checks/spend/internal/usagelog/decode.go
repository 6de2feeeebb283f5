package usagelog

import "encoding/json"

// decoder makes values for jq of lines that were scanned, which is twice as fast as to read them once more with a
// reader that trusts nobody.
type decoder struct {
	scanner scanner
	keys    map[string]string // that were seen before: most lines have the same ones
}

const maxKeys = 1000

// decode is the value of a whole line, as encoding/json gives it with UseNumber. line has to be one that scan took.
func (d *decoder) decode(line []byte) any {
	d.scanner.data, d.scanner.at = line, 0
	return d.value()
}

func (d *decoder) value() any {
	s := &d.scanner
	s.space()
	switch s.data[s.at] {
	case '{':
		return d.object()
	case '[':
		return d.array()
	case '"':
		raw, _ := s.string()
		return unescape(raw)
	case 't':
		s.at += len("true")
		return true
	case 'f':
		s.at += len("false")
		return false
	case 'n':
		s.at += len("null")
		return nil
	}
	raw, _ := s.number()
	return json.Number(raw)
}

func (d *decoder) object() any {
	s := &d.scanner
	all := map[string]any{}
	s.at++
	for !s.next('}') {
		s.space()
		raw, _ := s.string()
		key := d.key(raw)
		s.next(':')
		all[key] = d.value()
		s.next(',')
	}
	return all
}

func (d *decoder) array() any {
	s := &d.scanner
	all := []any{}
	s.at++
	for !s.next(']') {
		all = append(all, d.value())
		s.next(',')
	}
	return all
}

func (d *decoder) key(raw []byte) string {
	if key, ok := d.keys[string(raw)]; ok {
		return key
	}
	if d.keys == nil || len(d.keys) >= maxKeys {
		d.keys = map[string]string{}
	}
	key := unescape(raw)
	d.keys[string(raw)] = key
	return key
}
