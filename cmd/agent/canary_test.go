package main

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
)

// leaks wants the canary key in no encoding in text.
func leaks(t *testing.T, where, text string) {
	t.Helper()
	for name, form := range map[string]string{
		"plain": canaryKey, "hex": hex.EncodeToString([]byte(canaryKey)), "url": url.QueryEscape(canaryKey),
		"base64":             strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canaryKey)), "="),
		"base64 with scheme": base64.StdEncoding.EncodeToString([]byte("Bearer " + canaryKey))[:24],
	} {
		if strings.Contains(text, form) {
			t.Errorf("%s holds the key (%s)", where, name)
		}
	}
}
