package ndjson_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever stands in the newest file and in the state, a batch is taken, and stands whole behind what was there, of which
// only an end is taken away: with a state, nothing before its place.
func FuzzWhatACrashLeft(f *testing.F) {
	const name = "windsock-20260101T000000Z-000001.ndjson"
	for _, seed := range []string{"", "\n", "{}", "{}\n", "{\"id\":\"a\"}\n{\"id\":", "\x00\x00\n", "a\nb\nc", "{\"id\":1}\n[]\n", strings.Repeat("[", 20000) + "\n", "\xff\n"} {
		f.Add([]byte(seed), int64(len(seed)))
		f.Add([]byte(seed), int64(3))
		f.Add([]byte(seed), int64(-1))
	}
	f.Fuzz(func(t *testing.T, content []byte, offset int64) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		state, err := json.Marshal(map[string]any{"file": name, "offset": offset, "id": "x"})
		if err != nil {
			t.Fatal(err)
		}
		e := open(t, folder, "max_age: 0s", state)
		batch := numbered(0, 2)
		send(t, e, batch)
		got := contents(t, filepath.Join(folder, name))
		var want []byte
		for _, rec := range batch {
			line, err := rec.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			want = append(append(want, line...), '\n')
		}
		before, found := bytes.CutSuffix(got, want)
		if !found || !bytes.HasPrefix(content, before) || len(before) > 0 && before[len(before)-1] != '\n' {
			t.Errorf("%q became %q, want whole lines of it and the batch", content, got)
		}
		if offset > 0 && offset <= int64(len(content)) && content[offset-1] == '\n' && int64(len(before)) < offset {
			t.Errorf("%q is cut to %d, before the place of the state, %d", content, len(before), offset)
		}
	})
}
