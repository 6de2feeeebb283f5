package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/windsock-monitor/windsock/checks"
)

// Sample is how large the newest records are, and what the state directory takes.
type Sample struct {
	Checks map[string]Average // by the name of the check
	Agent  Average            // the agent's own state
	Total  int64              // bytes of all files of the directory
}

// Average is of so many records.
type Average struct {
	Records int64
	Bytes   float64 // of the JSON
}

const sampled = 5000 // records

// TakeSample reads a state directory as Inspect does, and with its rules.
func TakeSample(ctx context.Context, dir string) (sample Sample, err error) {
	file, _, err := databaseAt(dir)
	if err != nil {
		return sample, err
	}
	if found, known := peekVersion(file), len(migrations()); found > known {
		return sample, &NewerError{Found: found, Known: known}
	}
	in := inspector{Inspection: Inspection{Path: file}, dir: dir}
	in.measure()
	sample = Sample{Checks: map[string]Average{}, Total: in.Sizes.Total}
	s, err := openStill(ctx, file)
	if err != nil {
		return sample, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	err = eachRow(ctx, s.db, func(scan func(...any) error) error {
		var check, kind string
		var a Average
		err := scan(&kind, &check, &a.Records, &a.Bytes)
		switch checks.RecordType(kind) {
		case checks.TypeReport:
			sample.Checks[check] = a
		case checks.TypeAgent:
			sample.Agent = a
		case checks.TypeAlert: // they are few
		}
		return err
	}, fmt.Sprintf(`SELECT type, "check", count(*), avg(length(CAST(data AS BLOB))) FROM (SELECT type, "check", data FROM records`+
		` ORDER BY pos DESC LIMIT %d) GROUP BY 1, 2`, sampled))
	return sample, err
}

// FreeBytes is what this user may still write on the file system of a directory.
func FreeBytes(dir string) (int64, error) {
	free, err := freeBytes(dir)
	if err != nil {
		return 0, fmt.Errorf("measuring the room in %q: %w", dir, err)
	}
	return free, nil
}
