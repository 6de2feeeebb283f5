package ndjson

import (
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/windsock-monitor/windsock/checks"
)

// The bounds of the parameters.
const (
	minSize = 4 << 10 // bytes of a file
	maxSize = 1 << 40
	minAge  = time.Second
	maxKeep = 1_000_000 // files
)

// The places of the name.
const (
	timePlace = "{time}"
	seqPlace  = "{seq}"
)

// Params is the `with:` section.
type Params struct {
	Folder    string        `yaml:"folder" jsonschema:"required" jsonschema_description:"Where the files are written: an absolute path to a folder that exists, listed under write: of the plugin."`
	Name      string        `yaml:"name" jsonschema_description:"Name of the files, with {time} for when one was begun and {seq} for its number, once each."`
	Mode      string        `yaml:"mode" jsonschema_description:"Rights of the files, in octal."`
	MaxSize   int64         `yaml:"max_size" jsonschema_description:"Bytes of a file. One batch that is larger has a file of its own."`
	MaxAge    time.Duration `yaml:"max_age" jsonschema_description:"A file that was begun longer ago gets no more lines. 0 is any age."`
	Gzip      bool          `yaml:"gzip" jsonschema_description:"Compress files that get no more lines."`
	KeepFiles int           `yaml:"keep_files" jsonschema_description:"Files that are kept beside the one that is written; older ones are deleted. 0 keeps all."`
	KeepBytes int64         `yaml:"keep_bytes" jsonschema_description:"Bytes of all files, as they lie on the disk; the oldest are deleted beyond it. 0 keeps all."`
}

func defaults() Params {
	return Params{Name: "windsock-{time}-{seq}.ndjson", Mode: "0640", MaxSize: 64 << 20, MaxAge: 24 * time.Hour}
}

// Validate checks everything that the types do not. It does not look at the folder: that may be mounted later.
func (p Params) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, checks.Invalid(path, format, args...)) }
	if !filepath.IsAbs(p.Folder) || strings.ContainsRune(p.Folder, 0) {
		bad("folder", "%q, want an absolute path", p.Folder)
	}
	if problem := validName(p.Name); problem != "" {
		bad("name", "%q %s", p.Name, problem)
	}
	if mode, err := p.mode(); err != nil || mode&0o600 != 0o600 || mode&0o111 != 0 {
		bad("mode", "%q, want octal rights such as 0640, readable and writable for the owner, executable for nobody", p.Mode)
	}
	if p.MaxSize < minSize || p.MaxSize > maxSize {
		bad("max_size", "%d, want %d to %d bytes", p.MaxSize, int64(minSize), int64(maxSize))
	}
	if p.MaxAge != 0 && p.MaxAge < minAge {
		bad("max_age", "%s, want 0 or at least %s", p.MaxAge, minAge)
	}
	if p.KeepFiles < 0 || p.KeepFiles > maxKeep {
		bad("keep_files", "%d, want 0 to %d", p.KeepFiles, maxKeep)
	}
	if p.KeepBytes < 0 {
		bad("keep_bytes", "%d, want 0 or more", p.KeepBytes)
	}
	return errors.Join(errs...)
}

func validName(name string) string {
	plain := strings.NewReplacer(timePlace, "", seqPlace, "").Replace(name)
	switch {
	case strings.Count(name, timePlace) != 1 || strings.Count(name, seqPlace) != 1:
		return "has not {time} and {seq}, once each"
	case strings.Contains(name, timePlace+seqPlace) || strings.Contains(name, seqPlace+timePlace):
		return "has nothing between {time} and {seq}"
	case !regexp.MustCompile(`^[A-Za-z0-9._-]*$`).MatchString(plain) || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-"):
		return "is no plain name: want letters, digits, dots, - and _, and neither a dot nor - at its beginning"
	case strings.HasSuffix(name, ".gz") || len(name) > 150:
		return "ends in .gz, which is what compressed files get, or has more than 150 bytes"
	case regexp.MustCompile(`\d\{seq\}|\{seq\}\d`).MatchString(name):
		return "has a digit beside {seq}"
	}
	return ""
}

func (p Params) mode() (fs.FileMode, error) {
	n, err := strconv.ParseUint(p.Mode, 8, 9)
	return fs.FileMode(n), err
}
