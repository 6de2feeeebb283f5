// Package evidence keeps what tells of an incident: an archive of what is on a list, field by field, each text through the
// redactor, with a manifest. What is not named here goes into no archive: no key, prompt, answer or header. It asks no
// network, changes nothing but the file that it writes, and decides nothing about what the records mean.
package evidence

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"time"
)

// Format is the version of the archive's shape.
const Format = "windsock-evidence/1"

// Manifest says what is in an archive. It is the first file of it.
type Manifest struct {
	Format      string         `json:"format"`
	Incident    string         `json:"incident"`
	CollectedAt time.Time      `json:"collected_at"`
	RetainUntil string         `json:"retain_until"` // a date: delete it then; nobody does that for you
	Versions    Versions       `json:"versions"`
	Files       []FileEntry    `json:"files"`              // all but the manifest, by name
	Redacted    map[string]int `json:"redacted,omitempty"` // how often each rule hit, in all files
	Left        []Note         `json:"left_out,omitempty"` // what is not in it, and why
	Bounded     []Note         `json:"bounded,omitempty"`  // what is in it in part
	Excluded    []string       `json:"never_in_it"`        // by construction
	Caution     string         `json:"caution"`            // what construction cannot do
	Rules       []string       `json:"rules_of_redaction"` // all that were applied to every file
	Source      string         `json:"source"`             // the running agent, or the store
	WindowFrom  time.Time      `json:"window_from"`        // of records, timeline and logs
	WindowTo    time.Time      `json:"window_to"`          // up to and without
}

// FileEntry is one file of the archive.
type FileEntry struct {
	Name     string         `json:"name"`
	SHA256   string         `json:"sha256"`
	Bytes    int            `json:"bytes"`
	Redacted map[string]int `json:"redacted,omitempty"` // how often each rule hit
}

// Note is something about a part of the archive.
type Note struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Versions is what ran.
type Versions struct {
	Windsock string `json:"windsock"`
	Commit   string `json:"commit,omitempty"`
	Agent    string `json:"agent,omitempty"` // of the running one, where it is another
	Go       string `json:"go"`
	OS       string `json:"os,omitempty"`
	Kernel   string `json:"kernel,omitempty"`
	Systemd  string `json:"systemd,omitempty"`
}

// Bundle is an archive that is being put together. It is not safe for concurrent use.
type Bundle struct {
	Manifest Manifest

	redactor *Redactor
	files    map[string][]byte
}

// New begins an archive.
func New(m Manifest, r *Redactor) *Bundle {
	m.Format, m.Rules = Format, Rules()
	m.Excluded = []string{"keys and other secrets", "prompts", "answers", "headers", "environment variables", "annotations and environments of pods"}
	m.Caution = "what is never in it is on no list of fields; log.txt and error texts are words of others, from which the rules took what they find: read them before you give them away"
	return &Bundle{Manifest: m, redactor: r, files: map[string][]byte{}}
}

// Text adds a file of lines, a log. It goes through the redactor.
func (b *Bundle) Text(name, text string) {
	b.redactor.take()
	text = b.redactor.Log(text)
	hits := b.redactor.take()
	b.add(name, []byte(text), hits)
}

// JSON adds a value as a file. Every text in it goes through the redactor by itself, so that it stays JSON.
func (b *Bundle) JSON(name string, value any) error {
	b.redactor.take()
	clean, err := b.clean(value)
	if err != nil {
		return fmt.Errorf("adding %s: %w", name, err)
	}
	data, err := encode(clean, "  ")
	if err != nil {
		return fmt.Errorf("adding %s: %w", name, err)
	}
	b.add(name, data, b.redactor.take())
	return nil
}

// Lines adds values as a file, one a line.
func (b *Bundle) Lines(name string, values []any) error {
	b.redactor.take()
	var out bytes.Buffer
	for _, value := range values {
		var line []byte
		clean, err := b.clean(value)
		if err == nil {
			line, err = encode(clean, "")
		}
		if err != nil {
			return fmt.Errorf("adding %s: %w", name, err)
		}
		out.Write(line)
	}
	b.add(name, out.Bytes(), b.redactor.take())
	return nil
}

// encode is JSON for people as well: with a line's end, and without escapes of HTML.
func encode(value any, indent string) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	err := encoder.Encode(value)
	return out.Bytes(), err
}

// Without notes that a part is not in the archive.
func (b *Bundle) Without(what, why string) {
	b.Manifest.Left = append(b.Manifest.Left, Note{what, b.redactor.String(why)})
}

// Partly notes that a part is in the archive in part.
func (b *Bundle) Partly(what, why string) {
	b.Manifest.Bounded = append(b.Manifest.Bounded, Note{what, b.redactor.String(why)})
}

func (b *Bundle) add(name string, data []byte, hits map[string]int) {
	sum := sha256.Sum256(data)
	entry := FileEntry{Name: name, SHA256: hex.EncodeToString(sum[:]), Bytes: len(data)}
	if len(hits) > 0 {
		entry.Redacted = hits
		if b.Manifest.Redacted == nil {
			b.Manifest.Redacted = map[string]int{}
		}
		for rule, n := range hits {
			b.Manifest.Redacted[rule] += n
		}
	}
	b.Manifest.Files = append(b.Manifest.Files, entry)
	b.files[name] = data
}

// clean is a value as JSON has it, with its texts redacted. Maps come in the order of their keys.
func (b *Bundle) clean(value any) (any, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	return b.walk("", tree), nil
}

// walk redacts the texts of a node that stands under a key. Ids are made by chance: of them only known secrets are taken out.
func (b *Bundle) walk(key string, node any) any {
	switch v := node.(type) {
	case string:
		if slices.Contains([]string{"id", "record", "incident", "fingerprint", "request_id", "name", "check", "rule"}, key) {
			return b.redactor.Known(v)
		}
		return b.redactor.String(v)
	case []any:
		for i := range v {
			v[i] = b.walk(key, v[i])
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			clean[b.redactor.String(key)] = b.walk(key, v[key])
		}
		return clean
	}
	return node
}

// Folder is the one folder that the archive unpacks to.
func (b *Bundle) Folder() string { return "windsock-evidence-" + b.Manifest.Incident }

// WriteTo writes the archive. The same files give the same bytes: times are those of the manifest, names are in order, and
// nothing says who made it.
func (b *Bundle) WriteTo(w io.Writer) (int64, error) {
	slices.SortFunc(b.Manifest.Files, func(x, y FileEntry) int { return bytes.Compare([]byte(x.Name), []byte(y.Name)) })
	manifest, err := encode(b.Manifest, "  ")
	if err != nil {
		return 0, fmt.Errorf("writing the manifest: %w", err)
	}
	counted := &counter{to: w}
	zipped := gzip.NewWriter(counted)
	archive := tar.NewWriter(zipped)
	at := b.Manifest.CollectedAt.UTC().Truncate(time.Second)
	put := func(name string, data []byte) error {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: path.Join(b.Folder(), name), Mode: 0o600, Size: int64(len(data)), ModTime: at, Format: tar.FormatPAX,
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err := archive.Write(data)
		return err
	}
	err = archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: b.Folder() + "/", Mode: 0o700, ModTime: at, Format: tar.FormatPAX})
	if err == nil {
		err = put("manifest.json", manifest)
	}
	for i := 0; err == nil && i < len(b.Manifest.Files); i++ {
		name := b.Manifest.Files[i].Name
		err = put(name, b.files[name])
	}
	if err == nil {
		err = archive.Close()
	}
	if err == nil {
		err = zipped.Close()
	}
	if err != nil {
		return counted.n, fmt.Errorf("writing the archive: %w", err)
	}
	return counted.n, nil
}

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
