// Package python holds the library for plugins in Python: two files that authors copy beside their code. It is what
// `windsock plugins init --lang python` writes, and nothing in the agent runs it.
package python

import _ "embed"

// Library is windsock_plugin.py.
//
//go:embed windsock_plugin.py
var Library []byte

// API is api.binpb: the descriptors of the protocol and of what it imports, which the library makes its messages of.
//
//go:embed api.binpb
var API []byte
