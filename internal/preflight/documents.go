package preflight

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	mostDocument  = 4 << 20 // bytes of a document that are looked at
	leastDocument = 80      // bytes of text under which nothing is described
)

// documents looks whether people will find what they need, and whether somebody looked at it lately.
func (r *run) documents(ctx context.Context) {
	d := &r.cfg.Preflight.Documents
	for _, row := range []struct{ id, key, path string }{
		{itemRunbook, "runbook", d.Runbook},
		{itemRotation, "rotation", d.Rotation},
		{itemRollback, "rollback", d.Rollback},
		{itemEscalation, "escalation", d.Escalation},
		{itemLimits, "limits", d.Limits},
	} {
		if ctx.Err() != nil {
			return
		}
		if row.path == "" {
			r.set(row.id, blocked("add preflight.documents."+row.key+", a path below the target", "nobody says where it is"))
			continue
		}
		r.set(row.id, r.document(row.path))
	}
}

// document judges one of them.
func (r *run) document(path string) finding {
	full := path
	if !filepath.IsAbs(path) {
		folder, problem := r.folder()
		if problem != nil {
			return *problem
		}
		full = filepath.Join(folder, path)
	}
	data, changed, err := readDocument(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("write it", "%s is not there", path)
	case err != nil:
		return blocked("make it readable for who runs this", "%s cannot be read: %v", path, err)
	case bytes.ContainsRune(data, 0):
		return blocked("give a text, or have somebody attest it", "%s is no text", path)
	case len(bytes.Join(bytes.Fields(data), nil)) < leastDocument:
		return fail("write it", "%s says nothing: it has fewer than %d characters", path, leastDocument)
	}
	at, by := reviewed(data, changed)
	age := r.began.Sub(at)
	most := r.cfg.Preflight.Documents.MaxAge
	switch {
	case at.After(r.began.Add(24 * time.Hour)):
		return fail("put the day of the last review", "%s was reviewed in the future, on %s, by %s", path, at.Format(day), by)
	case age > most:
		return fail("review it, and write a line `reviewed: "+r.began.UTC().Format(day)+"`", "%s was last reviewed on %s, by %s; want at most %d days ago", path, at.Format(day), by, int(most.Hours()/24))
	}
	return pass("%s, reviewed on %s, by %s", path, at.Format(day), by)
}

// readDocument reads the beginning of a regular file. A pipe would never end, and is not opened.
func readDocument(path string) ([]byte, time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, time.Time{}, err //nolint:wrapcheck // the caller names the file
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, errors.New("it is no file")
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, time.Time{}, err //nolint:wrapcheck // the caller names the file
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, mostDocument))
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading it: %w", err)
	}
	return data, info.ModTime(), nil
}

// reviewed is when a text says that it was looked at, in its front matter or in a line of its own; else when the file was
// changed, which a checkout does, too.
func reviewed(data []byte, changed time.Time) (time.Time, string) {
	text := string(data)
	line := regexp.MustCompile(`(?im)^[^\w\n]*(?:last[ _-]?)?review(?:ed)?(?:[ _-](?:on|at))?[*_]*\s*[:=][ \t*_"']*(\d{4}-\d{2}-\d{2})`)
	front := ""
	if rest, ok := strings.CutPrefix(text, "---\n"); ok {
		front, _, _ = strings.Cut(rest, "\n---")
	}
	if at, ok := dateOf(line, front); ok {
		return at, "its front matter"
	}
	if at, ok := dateOf(regexp.MustCompile(`(?im)^(?:date|updated|lastmod|last_modified)\s*:\s*["']?(\d{4}-\d{2}-\d{2})`), front); ok {
		return at, "its front matter"
	}
	if at, ok := dateOf(line, text); ok {
		return at, "its line `reviewed:`"
	}
	return changed.UTC(), "the time of the file, which a checkout renews: better is a line `reviewed: DATE`"
}

func dateOf(pattern *regexp.Regexp, text string) (time.Time, bool) {
	found := pattern.FindStringSubmatch(text)
	if found == nil {
		return time.Time{}, false
	}
	at, err := time.Parse(day, found[1])
	return at, err == nil
}
