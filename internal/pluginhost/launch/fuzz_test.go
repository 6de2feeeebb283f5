package launch_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/windsock-monitor/windsock/internal/pluginhost/launch"
)

func FuzzHandshake(f *testing.F) {
	f.Add("1|1|unix|/run/s|grpc|AAAA")
	f.Add("hello|world")
	f.Add("1|x|unix|s")
	f.Fuzz(func(t *testing.T, line string) {
		network, address, ok := launch.ParseHandshake(line)
		if parts := strings.Split(strings.TrimSpace(line), "|"); ok && (len(parts) < 4 || parts[2] != network || parts[3] != address) {
			t.Errorf("got %q and %q of %q", network, address, line)
		}
	})
}

// Whatever a file begins with is run, or refused with a sentence.
func FuzzHead(f *testing.F) {
	for _, head := range []string{"\x7fELF\x02\x01\x01", "#!/usr/bin/env python3\n", "#!/bin/sh", "MZ", "", "#!"} {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		if err := launch.JudgeHead(head); err != nil {
			if e, ok := errors.AsType[*launch.Error](err); !ok || e.Class != launch.Format || e.Text == "" {
				t.Errorf("got %#v", err)
			}
		}
	})
}

func FuzzClip(f *testing.F) {
	f.Add("a\tb\x00\xffä", 3)
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = max(0, min(most, 1000))
		got := launch.Clip(text, most)
		if len(got) > most+len("…") || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("got %q of %q", got, text)
		}
	})
}
