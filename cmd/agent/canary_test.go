package main

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/windsock-monitor/windsock/checks/checktest"
)

// leaks wants the canary key in no encoding in text.
func leaks(t *testing.T, where, text string) {
	t.Helper()
	if form := checktest.Leak(text, canaryKey); form != "" {
		t.Errorf("%s holds the key (%s)", where, form)
	}
	for _, part := range []string{canaryKey[:12], canaryKey[len(canaryKey)-12:]} {
		if strings.Contains(text, part) {
			t.Errorf("%s holds a part of the key", where)
		}
	}
}

// echoes is what a careless server may say: the key in every form, in whole and in part.
func echoes() string {
	raw := []byte(canaryKey)
	reversed := slices.Clone(raw)
	slices.Reverse(reversed)
	return strings.Join([]string{
		"Bearer " + canaryKey, canaryKey[:14], canaryKey[6:], strings.ToUpper(canaryKey), string(reversed), url.QueryEscape(canaryKey),
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)),
		base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString([]byte("Bearer " + canaryKey)),
		base64.RawURLEncoding.EncodeToString([]byte("u:" + canaryKey)), canaryKey[:9] + "\u200b" + canaryKey[9:],
	}, " ")
}
