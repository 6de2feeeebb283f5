package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Mention is a path of the host that the file names, by the key that holds it: file, ca_file, cert_file, key_file, path, the
// program of command and argv, and addresses that begin with unix://.
type Mention struct {
	Key  string // the key itself; "unix" of an address
	Path string // absolute, but for a relative one that a kind reads: that is below the working directory of who runs it
	In   string // the section of the file: "providers", "exporters"
	Line int
}

// Mentions are the paths that the file names, in its order, whatever kind reads them. The file was read before: what it holds
// that is no path of the host is left out. Relative paths that the configuration itself reads are below its folder.
func Mentions(path string) ([]Mention, error) {
	data, _, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil || len(file.Docs) == 0 {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	m := mentioning{dir: filepath.Dir(absolutePath(path))}
	m.node(file.Docs[0].Body, "", "")
	return m.found, nil
}

func absolutePath(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

type mentioning struct {
	dir   string
	found []Mention
}

// node walks the file; key is what the node is the value of, section the first key on the way.
func (m *mentioning) node(n ast.Node, section, key string) {
	if mapping, ok := asMapping(n); ok {
		for _, value := range mapping.Values {
			name := value.Key.GetToken().Value
			m.node(value.Value, first(section, name), name)
		}
		return
	}
	switch v := n.(type) {
	case *ast.SequenceNode:
		if key == "command" || key == "argv" {
			if len(v.Values) > 0 {
				m.text(v.Values[0], section, key)
			}
			return
		}
		for _, item := range v.Values {
			m.node(item, section, "")
		}
	default:
		m.text(n, section, key)
	}
}

func first(section, name string) string {
	if section != "" {
		return section
	}
	return name
}

func (m *mentioning) text(n ast.Node, section, key string) {
	s, ok := n.(*ast.StringNode)
	if !ok || s.Value == "" {
		return
	}
	line := s.GetToken().Position.Line
	if path, found := strings.CutPrefix(s.Value, "unix://"); found {
		if filepath.IsAbs(path) {
			m.found = append(m.found, Mention{"unix", path, section, line})
		}
		return
	}
	path := s.Value
	switch key {
	case "ca_file", "cert_file", "key_file":
		if section == "checks" || section == "exporters" {
			m.found = append(m.found, Mention{key, path, section, line})
			return
		}
		path = m.below(path)
	case "file":
		path = m.below(path)
	case "command", "argv":
	case "path":
		if section != "plugins" {
			return // of a URL
		}
	default:
		return
	}
	if filepath.IsAbs(path) {
		m.found = append(m.found, Mention{key, path, section, line})
	}
}

func (m *mentioning) below(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(m.dir, path)
}
