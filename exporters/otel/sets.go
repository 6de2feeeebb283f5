package otel

import (
	"encoding/binary"
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"github.com/windsock-monitor/windsock/exporters"
)

// maxSets bounds each of the two halves of sets. A check has some 11 lists of attributes: those of 700 checks fit. Beyond
// that sets are made anew, which on the whole costs no more than looking after many (docs/performance.md).
const maxSets = 4096

// sets keeps the attribute sets of the last points: the same lists come with every run of a check, and to build a set
// costs more than all else that is done for a point here. What was not asked for while the young half filled up once is
// dropped. A set keeps nothing of the record that it was first built for.
type sets struct {
	young, old map[string]attribute.Set
	last       []exporters.Attr // the points of a run share lists
	set        attribute.Set    // of last
	key        []byte           // scratch
	pairs      []attribute.KeyValue
}

// of is the set of a list.
func (s *sets) of(attrs []exporters.Attr) attribute.Set {
	if len(attrs) == 0 {
		return *attribute.EmptySet()
	}
	if len(attrs) == len(s.last) && &attrs[0] == &s.last[0] {
		return s.set
	}
	s.key = s.key[:0]
	for i := range attrs {
		s.key = appendWord(appendWord(s.key, attrs[i].Key), attrs[i].Value)
	}
	set, ok := s.young[string(s.key)]
	if !ok {
		key := string(s.key)
		if set, ok = s.old[key]; !ok {
			set = s.build(key)
		}
		s.keep(key, set)
	}
	s.last, s.set = attrs, set
	return set
}

// end forgets the list that was asked for last.
func (s *sets) end() { s.last = nil }

func (s *sets) keep(key string, set attribute.Set) {
	if s.young == nil || len(s.young) == maxSets {
		s.old, s.young = s.young, map[string]attribute.Set{}
	}
	s.young[key] = set
}

func appendWord(key []byte, word string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(word))), word...)
}

// build reads the words of a key, and shares its memory.
func (s *sets) build(key string) attribute.Set {
	s.pairs = s.pairs[:0]
	for rest := key; rest != ""; {
		var name, value string
		name, rest = cutWord(rest)
		value, rest = cutWord(rest)
		s.pairs = append(s.pairs, attribute.String(validUTF8(name), validUTF8(value)))
	}
	set := attribute.NewSet(s.pairs...) // copies
	clear(s.pairs)
	return set
}

func cutWord(key string) (word, rest string) {
	size, shift := 0, 0
	for i := range len(key) {
		size |= int(key[i]&0x7f) << shift
		if shift += 7; key[i] < 0x80 {
			return key[i+1 : i+1+size], key[i+1+size:]
		}
	}
	return "", ""
}

// slab hands out small slices of one large one, which is used again for the next batch.
type slab[T any] struct{ all []T }

// clone is a copy of items that lives until reset.
func (s *slab[T]) clone(items ...T) []T {
	begin := len(s.all)
	s.all = append(s.all, items...)
	return slices.Clip(s.all[begin:])
}

// reset takes all slices back.
func (s *slab[T]) reset() {
	clear(s.all)
	s.all = s.all[:0]
}
