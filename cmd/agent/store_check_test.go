package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windsock-monitor/windsock/internal/store"
)

// What people and programs read of an inspection, held still.
func TestAnInspectionIsPrinted(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	in := &store.Inspection{
		Path: "/var/lib/windsock/windsock.db", Schema: 4, Known: 4, WrittenBy: "1.2.0", Full: true,
		Sizes:   store.Sizes{Database: 300 << 20, Free: 20 << 20, Log: 4 << 20, Aside: 9 << 20, Kept: 11 << 20, Total: 345 << 20},
		Records: 120_000, Oldest: now.Add(-7 * 24 * time.Hour), Newest: now, Position: 130_000, Mark: store.MarkAhead,
		Exporters: []store.Unread{{Exporter: "collector", Position: 129_000, Records: 1000, Oldest: now.Add(-time.Hour)}, {Exporter: "page", Position: 130_000}},
		Notes:     []string{"a note"},
		Troubles:  []store.Trouble{{Where: "record at position 7", What: "its checksum does not fit", Fix: "nothing"}},
	}
	var text, asJSON bytes.Buffer
	printInspection(&text, in, now)
	if err := printJSON(&asJSON, storeChecked{Inspection: in}); err != nil {
		t.Fatal(err)
	}
	const wantText = `/var/lib/windsock/windsock.db: schema version 4, written by windsock 1.2.0
120000 records, 2026-11-21T09:00:00Z to 2026-11-28T09:00:00Z
300 MiB database (20 MiB of it free), 4096 KiB log, 345 MiB in all, 9216 KiB of them moved aside as corrupt, 11 MiB of them kept from before an upgrade
EXPORTER   TO READ  OLDEST
collector  1000     1h0m0s ago
page       0        -
note: a note
✗ record at position 7: its checksum does not fit
  hint: nothing
`
	if diff := cmp.Diff(wantText, text.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	const wantJSON = `{
  "ok": false,
  "path": "/var/lib/windsock/windsock.db",
  "schema": 4,
  "known_schema": 4,
  "written_by": "1.2.0",
  "full": true,
  "bytes": {
    "database": 314572800,
    "free": 20971520,
    "log": 4194304,
    "moved_aside": 9437184,
    "kept_schemas": 11534336,
    "total": 361758720
  },
  "records": 120000,
  "oldest": "2026-11-21T09:00:00Z",
  "newest": "2026-11-28T09:00:00Z",
  "position": 130000,
  "exporters": [
    {
      "exporter": "collector",
      "position": 129000,
      "unread": 1000,
      "oldest_unread": "2026-11-28T08:00:00Z"
    },
    {
      "exporter": "page",
      "position": 130000,
      "unread": 0
    }
  ],
  "mark": "ahead",
  "troubles": [
    {
      "where": "record at position 7",
      "what": "its checksum does not fit",
      "fix": "nothing"
    }
  ],
  "notes": [
    "a note"
  ]
}
`
	if diff := cmp.Diff(wantJSON, asJSON.String()); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
