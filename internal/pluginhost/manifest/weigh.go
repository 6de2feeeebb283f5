package manifest

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// MaxParts is how many parts a schema may have once every reference is put in full where it stands. Whoever validates goes
// through all of them, and a schema of a few hundred bytes can unfold to more than anybody can wait for. People's schemas
// have some hundred.
//
// The work is that of the parts times that of the values they look at. Values are the operator's own: they come from a file
// of at most 1 MiB. uniqueItems compares sums, not each item with each, so that no list in it takes long; contains looks at
// each item once, as items does.
const MaxParts = 10_000

const (
	textOfPart = 100 // bytes of a text that count as a part: a long pattern is work, too
	maxDepth   = 128 // objects and lists within each other: the work of compiling grows with its third power
)

var (
	errHeavy     = fmt.Errorf("its schema unfolds to more than %d parts", MaxParts)
	errRecursive = errors.New("recursive")
)

// weigh refuses a schema of more than MaxParts, one that refers to itself, and every way to refer that it could not follow:
// what it does not follow it cannot weigh. It takes each object for a schema, also one that is data (a default, say):
// that is a part too many and never one too few.
func weigh(document any) error {
	s := &scale{root: document, known: map[uintptr]int{}}
	if object, ok := document.(map[string]any); ok && !slices.Contains(dialects(), object["$schema"]) {
		return errors.New(`its schema is of an unknown draft: want "$schema": "https://json-schema.org/draft/2020-12/schema", or none`)
	}
	if deeper(document, maxDepth) {
		return fmt.Errorf("its schema is nested more than %d deep", maxDepth)
	}
	_, err := s.weight(document)
	return err
}

// deeper reports whether a value has more than so many objects and lists within each other. References do not count.
func deeper(node any, levels int) bool {
	inner := func(child any) bool { return deeper(child, levels-1) }
	switch node := node.(type) {
	case map[string]any:
		return levels == 0 || slices.ContainsFunc(slices.Collect(maps.Values(node)), inner)
	case []any:
		return levels == 0 || slices.ContainsFunc(node, inner)
	}
	return false
}

// dialects are the drafts in which an identifier is called $id, and the only one at the root is harmless.
func dialects() []any {
	out := []any{nil}
	for _, name := range []string{"schema", "draft/2020-12/schema", "draft/2019-09/schema", "draft-07/schema", "draft-06/schema"} {
		for _, end := range []string{"", "#"} {
			out = append(out, "https://json-schema.org/"+name+end, "http://json-schema.org/"+name+end)
		}
	}
	return out
}

// scale weighs each object and each list once, however often it is referred to.
type scale struct {
	root  any
	known map[uintptr]int // by its address; open while it is being weighed
}

const open = -1

func (s *scale) weight(node any) (int, error) {
	switch node := node.(type) {
	case map[string]any:
		return s.once(reflect.ValueOf(node).Pointer(), func() (int, error) { return s.object(node) })
	case []any:
		if len(node) == 0 {
			return 1, nil
		}
		return s.once(reflect.ValueOf(node).Pointer(), func() (int, error) { return s.list(node) })
	case bool:
		return 1, nil
	case string:
		return len(node) / textOfPart, nil
	}
	return 0, nil
}

func (s *scale) once(address uintptr, weigh func() (int, error)) (int, error) {
	if weight, ok := s.known[address]; ok {
		if weight == open {
			return 0, errRecursive
		}
		return weight, nil
	}
	s.known[address] = open
	weight, err := weigh()
	if err == nil && weight > MaxParts {
		err = errHeavy
	}
	s.known[address] = weight
	return weight, err
}

func (s *scale) object(object map[string]any) (int, error) {
	sum := 1
	for name, value := range object {
		weight, err := s.member(object, name, value)
		if err != nil {
			return 0, err
		}
		// All that is weighed is part of the root, so that the first that is too heavy decides, and no sum runs over.
		if sum += weight + len(name)/textOfPart; sum > MaxParts {
			return 0, errHeavy
		}
	}
	return sum, nil
}

// member weighs what stands under a name. A text under the name of a keyword is that keyword; a parameter of that name has
// a schema, which is no text.
func (s *scale) member(object map[string]any, name string, value any) (int, error) {
	text, ok := value.(string)
	if !ok {
		return s.weight(value)
	}
	root := reflect.ValueOf(object).Pointer() == reflect.ValueOf(s.root).Pointer()
	switch name {
	case "$ref":
		return s.follow(text)
	case "$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor":
		return 0, fmt.Errorf("its schema has the keyword %s; %s", name, wantReferences)
	case "$id", "$schema":
		if !root {
			return 0, fmt.Errorf("its schema has the keyword %s within it; %s", name, wantReferences)
		}
	}
	return s.weight(text)
}

func (s *scale) list(list []any) (int, error) {
	sum := 1
	for _, value := range list {
		weight, err := s.weight(value)
		if err != nil {
			return 0, err
		}
		if sum += max(weight, 1); sum > MaxParts {
			return 0, errHeavy
		}
	}
	return sum, nil
}

const wantReferences = "want references like #/$defs/name"

// follow weighs what a reference leads to.
func (s *scale) follow(ref string) (int, error) {
	fragment, local := strings.CutPrefix(ref, "#")
	pointer, err := url.PathUnescape(fragment)
	if !local || err != nil || pointer != "" && pointer[0] != '/' {
		return 0, fmt.Errorf("its schema refers to %q, and a plugin's schema must stand alone; %s", cut(ref), wantReferences)
	}
	target, ok := lookup(s.root, pointer)
	if !ok {
		return 0, fmt.Errorf("its schema refers to %q, where there is nothing", cut(ref))
	}
	weight, err := s.weight(target)
	if errors.Is(err, errRecursive) {
		return 0, fmt.Errorf("its schema refers to %q from within, which has no end: write out how deep the parameters go", cut(ref))
	}
	return weight, err
}

// lookup is what a JSON pointer (RFC 6901) leads to.
func lookup(node any, pointer string) (any, bool) {
	if pointer == "" {
		return node, true
	}
	for step := range strings.SplitSeq(pointer[1:], "/") {
		name := strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		switch parent := node.(type) {
		case map[string]any:
			child, ok := parent[name]
			if !ok {
				return nil, false
			}
			node = child
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(parent) {
				return nil, false
			}
			node = parent[i]
		default:
			return nil, false
		}
	}
	return node, true
}
