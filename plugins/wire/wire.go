// Package wire translates the vocabulary of checks and exporters to the messages of the plugin protocol and back. The host
// and the SDK for Go share it, so that they cannot differ. It starts nothing, keeps nothing and performs no I/O; whatever a
// plugin sends is an error at worst, never a panic.
//
// Strings, maps and slices of bytes are shared between both sides of a translation, not copied: who hands one over writes to
// neither any more.
package wire

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-plugin"
)

// The handshake. The cookie is no secret: it tells a person who starts a plugin by hand from the agent.
const (
	CookieKey     = "WINDSOCK_PLUGIN_COOKIE"
	CookieValue   = "b6d3f2a4-windsock-plugin"
	Protocol      = 1        // version of the protocol, as go-plugin negotiates it
	HealthService = "plugin" // what the health service is asked for
)

// The bounds of what a plugin may send. plugins/proto has them in words.
const (
	MaxSummary      = 300 // bytes of a summary, a step's detail, a reason and a message: what is longer is cut
	MaxMeasurements = 200
	MaxAttrs        = 10
	MaxName         = 128 // bytes of a measurement's name, an attribute's key or value, a step's name, a fact's key
	MaxUnit         = 32
	MaxPhases       = 32
	MaxSteps        = 200
	MaxFacts        = 32
	MaxFact         = 512 // bytes of a fact's value: what is longer is cut
	MaxMemory       = 64 << 10
	MaxState        = 1 << 20
)

// ErrAnswer is wrapped by every error about an answer that breaks the protocol: the plugin's fault, not its target's.
var ErrAnswer = errors.New("an answer that breaks the protocol")

// Handshake is what the host and a plugin agree on before they speak.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: Protocol, MagicCookieKey: CookieKey, MagicCookieValue: CookieValue}
}

// Line makes one line of valid UTF-8 without control characters, of at most MaxSummary bytes, of any text.
func Line(text string) string { return line(text, MaxSummary) }

func line(text string, most int) string {
	if len(text) <= most && clean(text) {
		return text
	}
	text = strings.Join(strings.FieldsFunc(valid(text), unicode.IsControl), " ")
	if len(text) <= most {
		return text
	}
	const ellipsis = "…"
	cut := most - len(ellipsis)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + ellipsis
}

// clean reports whether text is valid UTF-8 without control characters.
func clean(text string) bool {
	ascii := true
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c == 0x7f {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// valid replaces what is not UTF-8: one such byte would keep the whole message from being sent.
func valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// validMap is m itself where all of it is valid.
func validMap(m map[string]string) map[string]string {
	for key, value := range m {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return repaired(m)
		}
	}
	return m
}

func repaired(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for key, value := range m {
		out[valid(key)] = valid(value)
	}
	return out
}
